"""The first minute: what the server is, and one click on an example that gives a picture and a true answer."""

import json
from pathlib import Path

import httpx
import pytest

from app.web.routes import FOLDER
from model.engine import EmbeddingEngine
from tests.support.browser.page import Page
from tests.support.servers.thread_server import serving_in_thread

pytestmark = pytest.mark.browser
EXAMPLES = json.loads((FOLDER / "static" / "examples" / "examples.json").read_text(encoding="utf-8"))


def test_one_line_always_says_what_the_server_is(page: Page, server: str) -> None:
    page.open(server)
    info = httpx.get(f"{server}/info").json()
    assert page.text("#model").startswith("Demonstration model, not MedImageInsight")
    assert page.text("#model").endswith(f"{info['device']}, {info['dtype']} · server {info['version']}")
    promise = "Research only, not for clinical use. Nothing leaves this server, and the server stores nothing."
    assert promise in page.text("footer")
    assert page.text("#badge") == "Demonstration model"
    assert page.text("#model").startswith(str(page.find("#badge").get_attribute("title")))
    assert page.text("#scores-note") == "Choose a picture: its scores appear here."


def test_another_model_is_named(page: Page, engine: EmbeddingEngine) -> None:
    with serving_in_thread(engine, decode_workers=0) as server:
        page.open(server.url)
        assert page.text("#model").startswith(f"Model {engine.release.name} · cpu, float32")
        assert not page.is_shown("#badge")
        assert page.chips == ["computed tomography", "mri", "x-ray", "ultrasound"]


def test_an_example_only_lends_its_labels(page: Page, server: str, files: Path) -> None:
    page.open(server)
    page.ask("ct chest", "my own label")
    page.wait(lambda: page.all("#examples button"))
    page.find("#examples button").click()
    page.wait(lambda: "my own label" not in page.chips)
    page.add(files / "ct.dcm")
    assert page.chips == ["ct chest", "my own label"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["file"])
def test_an_example_gives_a_picture_and_the_right_label(page: Page, server: str, example: dict[str, str]) -> None:
    page.open(server)
    page.wait(lambda: len(page.all("#examples button")) == len(EXAMPLES))
    page.find(f"#examples li:nth-child({EXAMPLES.index(example) + 1}) button").click()
    page.wait(lambda: page.films == [example["file"]])
    page.settle()
    assert page.picture().width > 100
    assert next(iter(page.scores)) == example["top"]
