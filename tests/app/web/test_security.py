"""What the page never does: run foreign scripts, store something, ask another server, or tell file names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from model.engine import EmbeddingEngine
from tests.support.browser.chromium import asked_origins, console, network, requests
from tests.support.browser.page import Page
from tests.support.servers.serving import start_server, wait_until_ready
from tests.support.servers.thread_server import serving_in_thread

pytestmark = pytest.mark.browser
KEY = "key-of-the-tests-0123456789"
MARK = "Q7patientQ7"
MOST_BYTES = 100_000  # of the page, its scripts and its styles
ENDS_WITHIN_S = 30

STORED = """
const done = arguments[0];
Promise.all([indexedDB.databases(), caches.keys(), navigator.serviceWorker.getRegistrations()]).then((lists) => done({
  cookie: document.cookie, local: localStorage.length, session: sessionStorage.length, others: lists.flat().length,
}));
"""
# Ways to run a script that an attacker might find; each is refused by an error or by the policy.
INJECTIONS = """
window.ran = [];
const refusals = [];
const attempt = (name, act) => { try { act(); } catch (error) { refusals.push(`${name}: ${error.name}`); } };
const inline = document.createElement("script");
attempt("text of a script", () => { inline.text = "ran.push('inline')"; document.head.append(inline); });
attempt("markup", () => { document.body.innerHTML = "<img src=x onerror=\\"ran.push('markup')\\">"; });
attempt("address of a script", () => { document.createElement("script").src = "https://example.org/x.js"; });
attempt("text of a timer", () => setTimeout("ran.push('timer')"));
const link = Object.assign(document.createElement("a"), { href: "javascript:ran.push('link')" });
document.body.append(link);
link.click();
return refusals;
"""


def test_nothing_is_stored(page: Page, server: str, files: Path) -> None:
    page.open(server)
    page.add(files / "ct.dcm")
    page.click("#theme")
    stored = page.driver.execute_async_script(STORED)
    assert stored == {"cookie": "", "local": 0, "session": 0, "others": 0}
    assert page.driver.get_cookies() == []


def test_the_page_is_light_and_asks_only_its_own_server(page: Page, server: str) -> None:
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.open(server)
    events = network(page.driver)
    kinds = {event["params"]["requestId"]: event["params"]["type"] for event in events if "type" in event["params"]}
    loaded = sum(
        event["params"]["encodedDataLength"]
        for event in events
        if event["method"] == "Network.loadingFinished"
        and kinds.get(event["params"]["requestId"]) in ("Document", "Script", "Stylesheet")
    )
    assert 30_000 < loaded < MOST_BYTES
    assert asked_origins(events) == {server}


def test_no_injected_script_runs(page: Page, server: str) -> None:
    page.open(server)
    assert page.js("return document.querySelectorAll('script:not([src]), [style], [onclick]').length") == 0
    names = ("text of a script", "markup", "address of a script", "text of a timer")
    assert page.js(INJECTIONS) == [f"{name}: TypeError" for name in names]
    page.js("return new Promise((done) => setTimeout(done, 50))")  # long enough for what would have run
    assert page.js("return window.ran") == []
    refused = "\n".join(console(page.driver))
    assert "TrustedScript" in refused
    assert "Content Security Policy" in refused  # the link


def test_an_element_of_a_file_name_is_only_text(page: Page, server: str, files: Path, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    (tmp_path / name).write_bytes((files / "drawn.png").read_bytes())
    page.open(server)
    page.add(tmp_path / name, files / "photo.jpg")
    assert page.text("#caption") == name
    assert page.texts("#table tbody th")[0] == name
    assert page.all("img[src='x']") == []


@pytest.fixture(scope="module")
def closed_server(demonstration_engine: EmbeddingEngine) -> Iterator[str]:
    """The address of a server that wants a key."""
    with serving_in_thread(demonstration_engine, decode_workers=0, api_keys=KEY) as running:
        yield running.url


def test_the_page_asks_for_a_key_and_keeps_it_to_itself(page: Page, closed_server: str, files: Path) -> None:
    page.open(closed_server, health="Needs a key")
    assert page.is_shown("#key-form")
    assert page.js("return document.activeElement.id") == "key"
    page.type("#key", "a \u2013 key")  # which no header can have
    page.find("#key-form button").click()
    assert page.js("return document.querySelector('#key').matches(':invalid')")
    assert page.is_shown("#key-form")
    page.type("#key", "a wrong key")
    page.find("#key-form button").click()
    page.wait(lambda: page.text("#key-error") == "The key is not one of those that this service accepts.")
    page.type("#key", KEY)
    page.find("#key-form button").click()
    page.wait(lambda: page.text("#health") == "Healthy")
    assert not page.is_shown("#key-form")

    page.add(files / "drawn.png")
    assert page.scores
    assert KEY not in page.js("return document.documentElement.outerHTML + document.querySelector('#key').value")
    assert page.driver.execute_async_script(STORED) == {"cookie": "", "local": 0, "session": 0, "others": 0}
    assert [request["url"] for request in requests(network(page.driver)) if KEY in request["url"]] == []


def test_a_picture_that_was_chosen_before_the_key_is_read_after_it(page: Page, closed_server: str, files: Path) -> None:
    page.open(closed_server, health="Needs a key")
    page.add(files / "drawn.png")
    assert page.text("#render-error") == "This server needs an API key; enter it at the top of the page."
    page.type("#key", KEY)
    page.find("#key-form button").click()
    page.wait(lambda: page.scores)
    assert page.text("#render-error") == page.text("#ask-error") == ""


def test_no_file_name_comes_to_the_server(page: Page, files: Path, tmp_path: Path) -> None:
    for name in ("drawn.png", "ct.dcm"):
        (tmp_path / f"{MARK}-{name}").write_bytes((files / name).read_bytes())
    (tmp_path / f"{MARK}-broken.dcm").write_bytes(b"this is no picture")
    process, url = start_server("", log_level="debug", decode_workers=0)
    try:
        wait_until_ready(url)
        page.open(url)
        page.add(*sorted(tmp_path.glob(f"{MARK}*")))
        page.click("#compare-tab")
        assert MARK in page.text("#matrix")
        sent = [request["url"] + request.get("postData", "") for request in requests(network(page.driver))]
        assert [request for request in sent if MARK in request] == []
    finally:
        process.terminate()
        _, log = process.communicate(timeout=ENDS_WITHIN_S)
    assert "stopping" in log
    assert MARK not in log


def test_the_documentation_is_linked(page: Page, server: str) -> None:
    page.open(server)
    links = [link.get_property("href") for link in page.driver.find_elements(By.CSS_SELECTOR, "header a")]
    assert links == [f"{server}/docs", f"{server}/redoc"]
    page.find("header a").click()
    first, second = page.driver.window_handles  # the pictures stay in the first window
    page.driver.switch_to.window(second)
    page.wait(lambda: page.all(".swagger-ui .info"))
    assert console(page.driver) == []
    page.driver.close()
    page.driver.switch_to.window(first)
