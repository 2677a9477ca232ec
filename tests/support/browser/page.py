"""What a visitor does on the page, and what the page shows."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

PATIENCE_S = 30
POLL_S = 0.05
SAVED = (".png", ".csv")  # a file has another suffix until it is complete
CHANGING = (NoSuchElementException, StaleElementReferenceException)
Result = TypeVar("Result")

# Nothing is on its way: no picture, no scores, no row of the table.
SETTLED = """
const waits = [...document.querySelectorAll("#film span, #table td")].some((each) => each.textContent === "…");
return document.querySelector('[aria-busy="true"]') === null && !waits;
"""

# The picture of an <img> as the browser decoded it.
DRAWN_AS_PNG = """
const image = arguments[0];
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
canvas.getContext("2d").drawImage(image, 0, 0);
return canvas.toDataURL("image/png").split(",")[1];
"""
PASTE = """
const clipboardData = new DataTransfer();
clipboardData.setData("text/plain", arguments[1]);
arguments[0].dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
"""
REMOVE_ALL = """
for (;;) {
  const button = document.querySelector("#chips button");
  if (button === null) break;
  button.click();
}
"""
SET_VALUE = """
const [input, value] = arguments;
input.value = value;
for (const name of ["input", "change"]) input.dispatchEvent(new Event(name, { bubbles: true }));
"""


def written(score: float) -> str:
    """A score from 0 to 1 as the page writes it."""
    if score < 0.005:
        return "<0.01"
    return ">0.99" if 0.995 <= score < 1 else f"{score:.2f}"


class Page:
    """The page in one browser, which saves files to `downloads`."""

    def __init__(self, driver: webdriver.Chrome, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads
        self.origins: set[str] = set()

    def open(self, url: str, health: str = "Healthy") -> None:
        """Open the page, and wait until it says how the server is."""
        self.origins.add(url)
        self.driver.get(f"{url}/")
        self.wait(lambda: self.text("#health") == health and self.text("#model") != "…")

    # Elements

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css: str) -> str:
        return self.find(css).text

    def texts(self, css: str) -> list[str]:
        """The texts of all elements, also of those that are scrolled out of sight."""
        found: list[str] = self.js("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", css)
        return found

    def is_shown(self, css: str) -> bool:
        return self.find(css).is_displayed()

    def wait(self, condition: Callable[[], Result]) -> Result:
        """Wait until a condition holds; the elements that it asks for may be replaced meanwhile."""

        def holds(driver: webdriver.Chrome) -> Result:
            return condition()

        return WebDriverWait(self.driver, PATIENCE_S, POLL_S, CHANGING).until(holds)

    def js(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    # Pictures

    def add(self, *files: Path) -> None:
        """Choose files in the dialog, and wait for their pictures and scores."""
        wanted = len(self.films) + len(files)
        self.find("#files").send_keys("\n".join(map(str, files)))
        self.wait(lambda: len(self.films) == wanted)
        self.settle()

    def drop(self, *paths: Path) -> None:
        """Drop files and folders, as the file manager of the desktop does."""
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": 200, "y": 300, "data": data}
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)

    def settle(self) -> None:
        """Wait until nothing is on its way: no picture and no scores."""
        self.wait(lambda: self.js(SETTLED))

    def picture(self, css: str = "#shown") -> Image.Image:
        """The picture that is shown."""
        return Image.open(io.BytesIO(base64.b64decode(self.js(DRAWN_AS_PNG, self.find(css))))).convert("RGB")

    @property
    def films(self) -> list[str]:
        """The names in the filmstrip."""
        names: list[str] = self.js("return [...document.querySelectorAll('#film button')].map(e => e.title)")
        return names

    def saved(self, css: str) -> Path:
        """Click on a link, and wait for the file that it saves."""
        before = set(self.downloads.iterdir())
        self.click(css)
        (file,) = self.wait(lambda: {path for path in self.downloads.iterdir() if path.suffix in SAVED} - before)
        return file

    # Controls

    def click(self, css: str, place: int = 0) -> None:
        """Scroll to an element, from under the footer, click on it, and wait for the answers."""

        def clicked() -> bool:
            element = self.all(css)[place]
            self.js("arguments[0].scrollIntoView({ block: 'center' })", element)
            element.click()
            return True

        self.wait(clicked)
        self.settle()

    def choose(self, css: str, value: str) -> None:
        """Choose from a list, and wait for the answers."""
        Select(self.find(css)).select_by_value(value)
        self.settle()

    def set(self, css: str, value: object) -> None:
        """Move a slider or fill in a number, and wait for the answers."""
        self.js(SET_VALUE, self.find(css), str(value))
        self.settle()

    def wheel(self, *deltas: float, **properties: Any) -> bool:
        """Turn the wheel over the picture, and wait for the answers; whether the page keeps it from the browser."""
        events = [{"deltaY": delta, "cancelable": True, **properties} for delta in deltas]
        is_kept: bool = self.js(
            "return arguments[1].map(e => !arguments[0].dispatchEvent(new WheelEvent('wheel', e))).every(Boolean)",
            self.find("#frame"),
            events,
        )
        self.settle()
        return is_kept

    def type(self, css: str, text: str) -> None:
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def paste(self, css: str, text: str) -> None:
        self.js(PASTE, self.find(css), text)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, on what has the focus."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def tab_to(self, css: str, most: int = 40) -> None:
        """Press Tab until an element has the focus."""
        for _ in range(most):
            if self.js("return document.activeElement.matches(arguments[0])", css):
                return
            self.press(Keys.TAB)
        raise AssertionError(f"{css} cannot be reached with the keyboard")

    # Answers

    def ask(self, *labels: str) -> None:
        """Replace the labels, and wait for the scores."""
        self.js(REMOVE_ALL)
        self.type_labels(*labels)
        self.settle()

    def type_labels(self, *labels: str) -> None:
        """Add labels at once, without waiting for their scores."""
        if len(labels) > 1:
            self.paste("#label", "\n".join(labels))
        else:
            self.type("#label", "".join(labels) + Keys.ENTER)

    def code(self, css: str, language: str) -> str:
        """The program that a fold with the request shows in one of the languages."""
        if not self.is_shown(f"{css} pre"):
            self.click(f"{css} summary")
        self.click(f"{css} [data-name={language}]")
        text: str = self.find(f"{css} pre").get_property("textContent")  # type: ignore[assignment]  # of a text
        return text

    @property
    def chips(self) -> list[str]:
        return [text.removesuffix("×").strip() for text in self.texts("#chips li")]

    @property
    def scores(self) -> dict[str, float]:
        """From each label that has a bar to its exact score, in the order of the page."""
        pairs: list[tuple[str, float]] = self.js(
            "return [...document.querySelectorAll('#scores li:not(.skeleton)')].map("
            "e => [e.querySelector('.label').textContent, Number(e.querySelector('.score').title)])"
        )
        return dict(pairs)
