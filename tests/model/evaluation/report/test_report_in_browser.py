"""The report in a real browser, on a telephone and on a screen."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from selenium import webdriver

from model.engine_embedder import EngineEmbedder
from model.evaluation.evaluate import evaluate
from model.evaluation.options import EvaluationOptions
from model.evaluation.report.figures.canvas import FONT_PT
from model.evaluation.report.mistakes import MistakePictures
from model.evaluation.report.report import HTML_FILE, JSON_FILE, write_report
from model.imaging.preprocessing import Preprocessing
from tests.support.browser.chromium import chromium, prefer, resize
from tests.support.colour_engine import ColourEngine, colour_manifest

pytestmark = pytest.mark.browser
LONG = "x-ray of the chest, anteroposterior, pneumonia, in_the_right_lower_lobe_and_nowhere_else_" + "o" * 60
LABELS = {"red": f"red {LONG}", "green": f"green {LONG} and effusion", "blue": "blue <b>normal</b>"}
FACTS = {"data": {"file": {"name": "test.csv", "sha256": "ab" * 32}}}
WIDTHS = pytest.mark.parametrize("width", [390, 1280])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report with every task, long labels, subgroups, pictures and a comparison with itself."""
    folder = tmp_path_factory.mktemp("report")
    manifest = colour_manifest(folder, 36, noise=90)
    manifest = replace(manifest, rows=tuple(replace(row, label=LABELS[row.label]) for row in manifest.rows))
    options = EvaluationOptions(samples=5, target="age", by=("sex",))
    facts = FACTS | {"options": vars(options)}
    evaluation = evaluate(EngineEmbedder(ColourEngine), manifest, options)
    write_report(evaluation, facts, folder)
    other = json.loads((folder / JSON_FILE).read_text())
    write_report(evaluation, facts, folder, other=other, mistakes=MistakePictures(3, Preprocessing(), 10_000))
    return (folder / HTML_FILE).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with chromium() as driver:
        yield driver


def open_page(browser: webdriver.Chrome, address: str, width: int, **media: str) -> None:
    resize(browser, width)
    prefer(browser, **media)
    browser.get(address)
    browser.execute_script("document.querySelectorAll('details').forEach(details => details.open = true)")


@WIDTHS
def test_the_page_never_scrolls_sideways_and_nothing_is_cut(
    browser: webdriver.Chrome, address: str, width: int
) -> None:
    open_page(browser, address, width)
    widths = "const page = document.documentElement; return [page.scrollWidth, page.clientWidth]"
    scrolled, shown = browser.execute_script(widths)
    assert scrolled == shown > width - 20  # a scroll bar
    cut = """const width = document.documentElement.clientWidth
        return [...document.querySelectorAll('main *')].filter(element => !element.closest('.box, svg') &&
        element.getBoundingClientRect().right > width).map(element => element.outerHTML.slice(0, 200))"""
    assert browser.execute_script(cut) == []
    hidden = """return [...document.querySelectorAll('.box')].filter(box => box.scrollWidth > box.clientWidth &&
        getComputedStyle(box).overflowX !== 'auto').length"""
    assert browser.execute_script(hidden) == 0


@WIDTHS
def test_figures_are_described_and_readable(browser: webdriver.Chrome, address: str, width: int) -> None:
    open_page(browser, address, width)
    images: list[dict[str, Any]] = browser.execute_script(
        """return [...document.images].map(image => ({alt: image.alt, shown: image.clientWidth,
        full: Number(image.getAttribute('width')), loaded: image.naturalWidth > 0,
        drawn: image.closest('.drawn') !== null}))"""
    )
    assert len(images) > 8
    assert all(image["alt"] and image["loaded"] for image in images)
    assert min(FONT_PT * image["shown"] / image["full"] for image in images if image["drawn"]) >= 9
    smallest = """return Math.min(...[...document.querySelectorAll('main *')].filter(element => element.innerText)
        .map(element => parseFloat(getComputedStyle(element).fontSize)))"""
    assert browser.execute_script(smallest) >= 12  # CSS pixels: 9 pt


@WIDTHS
def test_the_contents_stay_and_reach_their_headings(browser: webdriver.Chrome, address: str, width: int) -> None:
    open_page(browser, address, width)
    reached = """const nav = document.querySelector('nav')
        return [...nav.querySelectorAll('a')].map(link => {
            link.click()
            const heading = document.querySelector(link.hash + ' h2').getBoundingClientRect()
            const bar = nav.getBoundingClientRect()
            const covered = bar.right > heading.left && bar.bottom > heading.top
            return [link.hash, heading.top >= 0 && heading.bottom <= innerHeight && !covered && bar.top >= 0]
        })"""
    found = dict(browser.execute_script(reached))
    assert len(found) == 11
    assert [name for name, is_seen in found.items() if not is_seen] == []


def test_the_page_asks_for_nothing_and_the_console_is_silent(browser: webdriver.Chrome, address: str) -> None:
    open_page(browser, address, 1280)
    assert browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]  # not annotated there


def test_dark_and_print_styles(browser: webdriver.Chrome, address: str) -> None:
    colours = """return ['body', 'figure', 'section'].map(name =>
        getComputedStyle(document.querySelector(name)).backgroundColor)"""
    open_page(browser, address, 1280, prefers_color_scheme="dark")
    dark, figure, _ = browser.execute_script(colours)
    assert dark == "rgb(16, 21, 27)"
    assert figure == "rgb(255, 255, 255)"
    dark_print = {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark_print)
    assert browser.execute_script(colours)[::2] == ["rgb(255, 255, 255)"] * 2
    assert browser.execute_script("return getComputedStyle(document.querySelector('nav')).display") == "none"
    breaks = "return getComputedStyle(document.querySelector('section.task')).breakBefore"
    assert browser.execute_script(breaks) == "page"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
