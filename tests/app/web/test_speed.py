"""Steps that come faster than pictures, and many pictures: what the visitor looks at comes first."""

from pathlib import Path
from typing import Any

import pytest

from model.engine import EmbeddingEngine
from tests.app.web.test_errors import gated
from tests.support.browser.page import SET_VALUE, Page

pytestmark = pytest.mark.browser
COPIES = 5

# Two pictures get another window one directly after the other.
CHANGE_BOTH = """
const list = document.getElementById("window");
for (const place of [0, 1]) {
  document.querySelectorAll("#film button")[place].click();
  list.value = "bone";
  list.dispatchEvent(new Event("change", { bubbles: true }));
}
"""
# What an action changes below an element, as the number of changes.
CHANGES = """
const [watched, buttons] = arguments;
const observer = new MutationObserver(() => {});
observer.observe(document.querySelector(watched), { childList: true });
for (const button of buttons) document.querySelector(button).click();
return observer.takeRecords().length;
"""


def step(page: Page, frame: int) -> None:
    """Move the slider without waiting for the picture."""
    page.js(SET_VALUE, page.find("#frame-number"), str(frame))


def changes(page: Page, watched: str, *buttons: str) -> int:
    count: int = page.js(CHANGES, watched, buttons)
    return count


@pytest.fixture
def copies(files: Path, tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"copy{number}.png" for number in range(COPIES)]
    for path in made:
        path.write_bytes((files / "drawn.png").read_bytes())
    return made


def test_every_picture_that_comes_during_a_scroll_is_shown_under_its_own_number(
    page: Page, demonstration_engine: EmbeddingEngine, files: Path
) -> None:
    with gated(demonstration_engine) as (url, gate):
        page.open(url)
        page.add(files / "ct.dcm")
        with gate.holding("/render"):
            step(page, 1)
            gate.wait_for(1)
            step(page, 2)
            step(page, 3)
            gate.let_pass(0)
            page.wait(lambda: page.text("#caption") == "ct.dcm, 2 of 5")
            assert page.text("#frame-text") == "4 of 5"
            assert page.find("#shown").get_attribute("alt") == "ct.dcm, 2 of 5, as the model sees it"
            assert page.find("#save").get_attribute("download") == "ct-1.png"
            assert page.find("#frame").get_attribute("aria-busy") == "true"
            gate.wait_for(2)  # the third picture is skipped
            gate.let_pass(1)
            page.settle()
            assert page.text("#caption") == "ct.dcm, 4 of 5"


def test_changes_of_two_pictures_in_a_moment_are_both_made(page: Page, server: str, files: Path) -> None:
    page.open(server)
    page.add(files / "ct.dcm", files / "volume.nii")
    before = []
    for place in range(2):
        page.click("#film button", place)
        before.append(page.picture())
    page.js(CHANGE_BOTH)
    for place in range(2):
        page.click("#film button", place)
        assert page.picture() != before[place]


@pytest.mark.parametrize(("path", "region"), [("/render", "#frame"), ("/classify", "#scores")])
def test_the_picture_that_is_looked_at_goes_before_those_that_wait(
    page: Page, demonstration_engine: EmbeddingEngine, copies: list[Path], path: str, region: str
) -> None:
    with gated(demonstration_engine) as (url, gate):
        page.open(url)
        with gate.holding(path):
            page.find("#files").send_keys("\n".join(map(str, copies)))
            gate.wait_for(2)  # as many as the page sends at once
            page.js("document.querySelector('#film li:last-child button').click()")
            gate.let_pass(0)
            gate.wait_for(3)
            gate.let_pass(2)
            page.wait(lambda: page.find(region).get_attribute("aria-busy") == "false")
            assert page.text("#caption") == copies[-1].name


@pytest.mark.parametrize(
    ("deltas", "properties", "steps"),
    [
        ([100], {}, 1),
        ([120, 120, 120], {}, 3),
        ([300], {}, 3),
        ([4] * 25, {}, 1),  # a touchpad
        ([60, -60, 60], {}, 0),
        ([3, 3], {"deltaMode": 1}, 2),  # lines
    ],
)
def test_a_notch_of_the_wheel_is_a_slice(
    page: Page, server: str, files: Path, deltas: list[float], properties: dict[str, Any], steps: int
) -> None:
    page.open(server)
    page.add(files / "ct.dcm")
    assert page.wheel(*deltas, **properties)
    assert page.text("#caption") == f"ct.dcm, {steps + 1} of 5"


def test_zooming_and_going_back_are_left_to_the_browser(page: Page, server: str, files: Path) -> None:
    page.open(server)
    page.add(files / "ct.dcm")
    assert not page.wheel(200, ctrlKey=True)
    for key in ("altKey", "ctrlKey", "metaKey"):
        pressed = f"new KeyboardEvent('keydown', {{ key: 'ArrowRight', {key}: true, cancelable: true }})"
        assert page.js(f"return document.getElementById('frame').dispatchEvent({pressed})")
    page.settle()
    assert page.text("#caption") == "ct.dcm, 1 of 5"


def test_a_picture_that_comes_soon_does_not_blink(
    page: Page, demonstration_engine: EmbeddingEngine, files: Path
) -> None:
    delays = (
        "return document.getElementById('frame').getAnimations({ subtree: true })"
        ".map(e => [e.animationName, e.effect.getTiming().delay]).sort()"
    )
    with gated(demonstration_engine) as (url, gate):
        page.open(url)
        page.add(files / "ct.dcm")
        with gate.holding("/render"):
            step(page, 1)
            gate.wait_for(1)
            assert page.js(delays) == [["appear", 300], ["dim", 300], ["turn", 0]]
        page.settle()
        assert page.js(delays) == []


def test_of_many_pictures_only_what_changes_is_drawn_again(page: Page, server: str, copies: list[Path]) -> None:
    page.open(server)
    page.choose("#set", "set demonstration-model")
    page.add(*copies[:3])
    page.js("document.querySelector('#table tbody tr').id = document.querySelector('#film li').id = 'kept'")
    page.js("document.querySelectorAll('#film button')[1].click()")
    page.js("document.querySelector('#film li').id = 'kept'")  # the choice of another picture draws all of them
    page.choose("#contrast", "equalize")
    assert len(page.all("#kept")) == 2
    assert changes(page, "#scores-spoken", "#all-scores", "#all-scores") == 0  # it would be announced again
    assert page.find("#save").get_property("href") == page.find("#shown").get_property("src")
    assert changes(page, "#film", "#clear") == 1
    assert page.films == []
