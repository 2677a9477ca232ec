"""The documentation pages in a real browser without internet: "Execute" sends a request that works."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.browser.chromium import chromium, console
from tests.support.servers.serving import serving

pytestmark = pytest.mark.browser
PATIENCE_S = 30


@pytest.fixture(scope="module")
def server(small_release: Path) -> Iterator[str]:
    with serving(small_release) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with chromium(1400, 1600) as driver:
        yield driver


def visible(browser: webdriver.Chrome, css: str) -> WebElement:
    return WebDriverWait(browser, PATIENCE_S).until(lambda _: browser.find_element(By.CSS_SELECTOR, css))


def assert_only_asks(browser: webdriver.Chrome, server: str) -> None:
    """The page loaded from this server only, and its content security policy had nothing to refuse."""
    script = "return performance.getEntriesByType('resource').map(entry => new URL(entry.name).origin)"
    assert set(browser.execute_script(script)) == {server}
    assert [message for message in console(browser) if "Content Security Policy" in message] == []


@pytest.mark.parametrize("route", ["embed", "embed_image", "embed_text"])
def test_try_it_out(server: str, browser: webdriver.Chrome, route: str) -> None:
    browser.get(f"{server}/docs#/embeddings/{route}")
    browser.refresh()
    visible(browser, "button.try-out__btn").click()
    visible(browser, "button.execute").click()
    assert visible(browser, ".live-responses-table tbody .response-col_status").text.startswith("200")
    answer = json.loads(visible(browser, ".live-responses-table tbody .highlight-code code").text)
    assert len(answer[0][next(iter(answer[0]))][0]) == 128
    assert_only_asks(browser, server)


def test_the_successful_answer_is_first_and_the_codes_of_the_errors_are_folded(
    server: str, browser: webdriver.Chrome
) -> None:
    browser.get(f"{server}/docs#/classification/classify")
    browser.refresh()
    visible(browser, ".responses-table tbody tr.response")
    rows = browser.find_elements(By.CSS_SELECTOR, ".responses-table tbody tr.response")
    assert [row.get_attribute("data-code") for row in rows] == ["200", "4XX", "5XX"]
    table = rows[1].find_element(By.CSS_SELECTOR, "details table")
    assert not table.is_displayed()
    rows[1].find_element(By.CSS_SELECTOR, "summary").click()
    assert table.is_displayed()
    assert "undecodable_image" in table.text


def test_tags_are_described_and_parameters_are_offered(server: str, browser: webdriver.Chrome) -> None:
    browser.get(f"{server}/docs#/images/render")
    browser.refresh()
    visible(browser, ".parameters tr[data-param-name=dicom_window]")
    assert visible(browser, "h3#operations-tag-images").text.startswith("images\nSee the picture")


def test_redoc(server: str, browser: webdriver.Chrome) -> None:
    browser.get(f"{server}/redoc")
    assert visible(browser, "h1").text.startswith("MedImageInsight Server")
    assert visible(browser, "a[href*=redocly]").is_displayed()  # which had the logo
    assert_only_asks(browser, server)
