"""For everybody: axe-core finds nothing serious, a keyboard is enough, and every width and colour scheme works."""

from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from selenium_axe_python.axe import Axe

from tests.support.browser.chromium import prefer, resize
from tests.support.browser.page import Page, written

pytestmark = pytest.mark.browser
WIDTHS = (360, 768, 1280, 1920)
SERIOUS = ("serious", "critical")
LONG = "a-name-without-any-place-to-break-" * 4 + ".png"


def empty(page: Page, files: Path) -> None:
    pass


def one_picture(page: Page, files: Path) -> None:
    page.add(files / "ct.dcm")
    page.choose("#window", "free")
    page.code("#ask-code", "curl")


def several_pictures(page: Page, files: Path) -> None:
    page.add(files / "volume.nii", files / "drawn.png", files / LONG)


def comparison(page: Page, files: Path) -> None:
    page.add(files / "ct.dcm", files / LONG)
    page.click("#compare-tab")
    page.code("#compare-code", "python")


def failure(page: Page, files: Path) -> None:
    page.add(files / "broken.dcm", files / "drawn.png")


STATES: list[Callable[[Page, Path], None]] = [empty, one_picture, several_pictures, comparison, failure]


@pytest.fixture(scope="module", autouse=True)
def more_files(files: Path) -> None:
    (files / "broken.dcm").write_bytes(b"this is no picture")
    (files / LONG).write_bytes((files / "drawn.png").read_bytes())


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_state_is_accessible_and_fits_every_width(
    page: Page, server: str, files: Path, state: Callable[[Page, Path], None]
) -> None:
    page.open(server)
    state(page, files)
    axe = Axe(page.driver)
    axe.inject()  # type: ignore[no-untyped-call]  # not annotated there
    for theme in ("light", "dark"):
        page.js("document.documentElement.dataset.theme = arguments[0]", theme)
        page.js("document.getAnimations().forEach((animation) => animation.finish())")
        found = axe.run(options={"resultTypes": ["violations"]})["violations"]
        assert axe.report([each for each in found if each["impact"] in SERIOUS]).startswith("Found 0 "), theme
    for width in WIDTHS:
        resize(page.driver, width)
        wide = page.js("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] == wide[1], f"the page is {wide[0]} pixels wide in {width}"


def test_the_keyboard_reaches_a_result_and_every_tab(page: Page, server: str) -> None:
    page.open(server)
    page.wait(lambda: page.all("#examples button"))
    page.tab_to("#examples button")
    page.press(Keys.ENTER)
    page.wait(lambda: page.scores)
    page.settle()
    page.tab_to("#ask-tab")
    page.press(Keys.ARROW_RIGHT)
    page.wait(lambda: page.js("return document.activeElement.id") == "compare-tab")
    page.settle()
    assert page.is_shown("#compare")
    assert page.all("#matrix td")
    page.press(Keys.ARROW_LEFT)
    assert page.is_shown("#ask")
    assert page.find("#compare-tab").get_attribute("aria-selected") == "false"


def test_what_has_the_focus_is_not_below_the_footer(page: Page, server: str, files: Path) -> None:
    page.open(server)
    several_pictures(page, files)
    resize(page.driver, 1280, 500)
    page.js("scrollTo(0, 0); document.activeElement.blur()")
    hidden = page.js("return window.hidden = []")
    for _ in range(30):
        page.press(Keys.TAB)
        name = page.js(
            "const e = document.activeElement, footer = document.querySelector('footer').getBoundingClientRect().top;"
            "return !e.closest('footer, body > header') && e.getBoundingClientRect().top > footer ? e.outerHTML : ''"
        )
        hidden += [name] if name else []
    assert hidden == []


def test_the_first_scheme_is_the_visitors_and_the_button_changes_it(page: Page, server: str) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    seen = {}
    for scheme in ("light", "dark"):
        prefer(page.driver, prefers_color_scheme=scheme)
        page.open(server)
        seen[scheme] = page.js(background)
    assert seen["light"] != seen["dark"]
    assert (page.text("#theme"), page.find("#theme").get_attribute("aria-label")) == ("Light", "Light colours")
    page.find("#theme").click()
    assert page.js(background) == seen["light"]
    prefer(page.driver)


def test_the_result_is_announced(page: Page, server: str, files: Path) -> None:
    page.open(server)
    page.add(files / "drawn.png")
    best, score = next(iter(page.scores.items()))
    assert page.texts("#scores-spoken") == [f"drawn.png: {best}, {written(score)}."]
    assert page.find("#scores-spoken").get_attribute("role") == "status"
    assert page.find("#shown").get_attribute("alt") == "drawn.png, as the model sees it"


def test_the_focus_is_visible_and_never_lost(page: Page, server: str) -> None:
    page.open(server)
    page.wait(lambda: page.all("#examples button"))
    page.tab_to("#files")
    outlined = "return getComputedStyle(document.querySelector('#empty label')).outlineStyle"
    assert page.js(outlined) == "solid"
    page.tab_to("#examples button")
    assert page.js(outlined) == "none"
    page.press(Keys.ENTER)
    focused = "return document.activeElement.id"
    page.wait(lambda: page.js(focused) == "frame")
    page.settle()
    page.click("#remove")
    assert page.js(focused) == "files"


@pytest.mark.parametrize("width", [360, 1280])
def test_that_it_is_for_research_only_is_always_in_sight(page: Page, server: str, files: Path, width: int) -> None:
    page.open(server)
    several_pictures(page, files)
    resize(page.driver, width, 640)
    for share in (0, 0.5, 1):
        page.js("scrollTo(0, arguments[0] * document.documentElement.scrollHeight)", share)
        seen = page.js(
            "const box = document.querySelector('footer strong').getBoundingClientRect();"
            "const inside = box.top >= 0 && box.bottom <= innerHeight;"
            "return inside && document.elementFromPoint(box.left + 20, box.top + box.height / 2).textContent"
        )
        assert seen == "Research only, not for clinical use."


def test_the_names_stay_in_sight_when_a_wide_table_is_scrolled(page: Page, server: str, files: Path) -> None:
    page.open(server)
    several_pictures(page, files)
    page.choose("#set", "set demonstration-model")
    resize(page.driver, 360)
    places = page.js(
        "const region = document.querySelector('#every .scroll');"
        "region.scrollLeft = 300;"
        "return [region, document.querySelector('#table tbody th')].map(e => e.getBoundingClientRect().left)"
    )
    assert places[0] == pytest.approx(places[1], abs=1)


def test_the_examples_lie_in_one_row_without_a_hole(page: Page, server: str) -> None:
    page.open(server)
    page.wait(lambda: page.all("#examples button"))
    for width in (1280, 1920):
        resize(page.driver, width)
        tops, right, end = page.js(
            "const boxes = [...document.querySelectorAll('#examples li')].map(e => e.getBoundingClientRect());"
            "const list = document.getElementById('examples').getBoundingClientRect();"
            "return [boxes.map(e => e.top), boxes.at(-1).right, list.right]"
        )
        assert len(set(tops)) == 1
        assert right == pytest.approx(end, abs=1)
