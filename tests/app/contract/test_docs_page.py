"""The documentation page in a real browser without internet: "Execute" sends a request that works."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.servers.serving import serving

pytestmark = pytest.mark.browser
PATIENCE_S = 30


@pytest.fixture(scope="module")
def server(small_release: Path) -> Iterator[str]:
    with serving(small_release) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for switch in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "window-size=1400,1600"):
        options.add_argument(f"--{switch}")
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


def visible(browser: webdriver.Chrome, css: str) -> WebElement:
    return WebDriverWait(browser, PATIENCE_S).until(lambda _: browser.find_element(By.CSS_SELECTOR, css))


def fetched_hosts(browser: webdriver.Chrome) -> set[str]:
    """Origins that the page loaded from, without those that its content security policy refused (from the log)."""
    script = "return performance.getEntriesByType('resource').map(entry => new URL(entry.name).origin)"
    log: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    refusals = " ".join(entry["message"] for entry in log if "Content Security Policy" in entry["message"])
    return set(browser.execute_script(script)).difference(re.findall(r"'(https?://[^/']+)/", refusals))


@pytest.mark.parametrize("route", ["embed_embed_post", "embed_image_embed_image_post", "embed_text_embed_text_post"])
def test_try_it_out(server: str, browser: webdriver.Chrome, route: str) -> None:
    browser.get(f"{server}/docs#/embeddings/{route}")
    browser.refresh()
    visible(browser, "button.try-out__btn").click()
    visible(browser, "button.execute").click()
    assert visible(browser, ".live-responses-table tbody .response-col_status").text.startswith("200")
    answer = json.loads(visible(browser, ".live-responses-table tbody .highlight-code code").text)
    assert len(answer[0][next(iter(answer[0]))][0]) == 128
    assert fetched_hosts(browser) == {server}


def test_redoc(server: str, browser: webdriver.Chrome) -> None:
    browser.get(f"{server}/redoc")
    assert visible(browser, "h1").text.startswith("MedImageInsight Server")
    assert fetched_hosts(browser) == {server}
