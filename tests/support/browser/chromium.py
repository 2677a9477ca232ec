"""Chromium without a window, and what it did: its console, and the addresses that it asked for."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver

SWITCHES = ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "hide-scrollbars")
LOGS = {"browser": "ALL", "performance": "ALL"}


@contextmanager
def chromium(width: int = 1280, height: int = 900) -> Iterator[webdriver.Chrome]:
    """A browser for the duration of the `with` block; its viewport has the given size in pixels."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", LOGS)
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        resize(driver, width, height)
        yield driver
    finally:
        driver.quit()


def resize(driver: webdriver.Chrome, width: int, height: int = 900) -> None:
    """Set the size of the viewport; a window cannot be as narrow as a telephone."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(driver: webdriver.Chrome, **features: str) -> None:
    """Set what the visitor prefers, such as prefers_color_scheme="dark"."""
    media = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})


def save_downloads_to(driver: webdriver.Chrome, folder: Path) -> None:
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})


def console(driver: webdriver.Chrome) -> list[str]:
    """The messages since the last call, without those about answers that are not 2xx, which a page may want."""
    log: list[dict[str, str]] = driver.get_log("browser")  # type: ignore[no-untyped-call]  # not annotated there
    return [entry["message"] for entry in log if entry["source"] != "network"]


def network(driver: webdriver.Chrome) -> list[dict[str, Any]]:
    """The network events of the DevTools protocol since the last call, as {"method": …, "params": …}."""
    log: list[dict[str, str]] = driver.get_log("performance")  # type: ignore[no-untyped-call]  # not annotated there
    events = [json.loads(entry["message"])["message"] for entry in log]
    return [event for event in events if event["method"].startswith("Network.")]


def requests(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The requests that the browser sent, without those that a policy of the page refused."""
    refused = {event["params"]["requestId"] for event in events if event["params"].get("blockedReason") == "csp"}
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [params["request"] for params in sent if params["requestId"] not in refused]


def asked_origins(events: list[dict[str, Any]]) -> set[str]:
    """The origins that the browser sent requests to."""
    urls = [urlsplit(request["url"]) for request in requests(events)]
    return {f"{url.scheme}://{url.netloc}" for url in urls if url.scheme not in ("blob", "data", "about")}
