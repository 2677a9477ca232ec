"""Pictures of the page with drawn examples: `python -m tests.support.browser.screenshots docs/images`."""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from app.web.routes import FOLDER
from model.checkpoints.release_folder import DEMO_MODEL
from model.engine import EmbeddingEngine
from tests.support.browser.chromium import chromium
from tests.support.browser.page import Page
from tests.support.servers.thread_server import serving_in_thread

SIZE = (1280, 1130)
COLOURS = 256  # of a palette, which needs a third of the bytes
EXAMPLES = FOLDER / "static" / "examples"
COMPARED = ("ct-chest.dcm", "chest-x-ray.png", "mr-brain.nii.gz", "blood-smear.jpg")
TEXTS = "ct abdomen\nx-ray chest\nmri brain\nblood smear"


def save(page: Page, path: Path) -> None:
    """Save what is in the window as a PNG file with a palette."""
    page.js("document.activeElement.blur(); scrollTo(0, 0)")
    picture = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def show_scores(page: Page) -> None:
    page.click("#examples li:nth-child(2) button")
    page.wait(lambda: page.films)
    page.settle()
    page.choose("#window", "lung")
    page.set("#frame-number", 8)


def show_comparison(page: Page) -> None:
    page.add(*(EXAMPLES / name for name in COMPARED))
    page.click("#compare-tab")
    page.set("#texts", TEXTS)


def main(folder: Path) -> None:
    """Write page.png and compare.png into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = EmbeddingEngine.load(DEMO_MODEL, device="cpu")
    with serving_in_thread(engine) as server, chromium(*SIZE) as driver, tempfile.TemporaryDirectory() as downloads:
        page = Page(driver, Path(downloads))
        for name, show in (("page.png", show_scores), ("compare.png", show_comparison)):
            page.open(server.url)
            page.wait(lambda: page.all("#examples img"))
            show(page)
            save(page, folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
