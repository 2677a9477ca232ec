"""Compare: pictures with texts, and pictures with each other."""

import base64
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from model.engine import EmbeddingEngine
from tests.support.browser.page import Page
from tests.support.servers.thread_server import serving_in_thread

pytestmark = pytest.mark.browser
TEXTS = ["ct chest", "x-ray hand", "<b>mri</b> of “it”"]


def matrix(page: Page) -> Any:
    rows = page.js(
        "return [...document.querySelectorAll('#matrix tbody tr')].map("
        "row => [...row.querySelectorAll('td')].map(e => Number(e.title)))"
    )
    return np.array(rows)


def picture(server: str, file: Path, **params: Any) -> str:
    """The picture of a file as /render answers it, in base64."""
    answer = httpx.post(f"{server}/render", params=params, files={"file": file.read_bytes()})
    return base64.b64encode(answer.content).decode()


def similarity(server: str, a: dict[str, Any], b: dict[str, Any]) -> Any:
    return np.array(httpx.post(f"{server}/similarity", json={"a": a, "b": b}).json()["similarity"])


@pytest.fixture
def opened(page: Page, server: str, files: Path) -> Page:
    page.open(server)
    page.add(files / "ct.dcm", files / "drawn.png")
    page.click("#compare-tab")
    return page


def test_pictures_are_compared_with_texts(opened: Page, server: str, files: Path) -> None:
    opened.set("#texts", "\n".join(TEXTS))
    images = [picture(server, files / name) for name in ("ct.dcm", "drawn.png")]
    np.testing.assert_allclose(matrix(opened), similarity(server, {"images": images}, {"texts": TEXTS}), atol=1e-5)
    assert opened.texts("#matrix thead th") == TEXTS
    assert opened.texts("#matrix tbody th") == ["ct.dcm", "drawn.png"]


def test_pictures_are_compared_with_each_other_as_they_are_shown(opened: Page, server: str, files: Path) -> None:
    opened.click("#ask-tab")
    opened.choose("#window", "bone")
    opened.click("#compare-tab")
    opened.click("[name=other][value=images]")
    images = [picture(server, files / "ct.dcm", dicom_window="bone"), picture(server, files / "drawn.png")]
    np.testing.assert_allclose(matrix(opened), similarity(server, {"images": images}, {"images": images}), atol=1e-5)
    assert np.diag(matrix(opened)) == pytest.approx([1, 1], abs=1e-5)
    assert not opened.is_shown("#texts")


def test_the_warmest_cell_is_the_most_similar(opened: Page) -> None:
    opened.set("#texts", "\n".join(TEXTS))
    heats = opened.js(
        "return [...document.querySelectorAll('#matrix td')].map(e => e.style.getPropertyValue('--heat'))"
    )
    heats = np.array([float(heat) for heat in heats if heat])
    values = matrix(opened).ravel()
    assert (heats.min(), heats.max()) == (0, 1)
    assert list(np.argsort(heats)) == list(np.argsort(values))


def test_what_is_missing_is_said_in_words(page: Page, server: str, files: Path) -> None:
    page.open(server)
    page.click("#compare-tab")
    page.wait(lambda: page.text("#compare-note") == "Choose a picture first.")
    page.add(files / "drawn.png")
    assert len(page.all("#matrix tbody tr")) == 1
    page.set("#texts", "\n \n")
    assert page.text("#compare-note") == "Write at least one text."
    page.click("[name=other][value=images]")
    assert page.text("#compare-note") == "Add a second picture to compare with."
    page.click("#standardized")
    assert "are left out" in page.text("#compare-note")
    assert page.all("#matrix td") == []


def test_photographs_are_sent_as_small_as_they_are(
    page: Page, demonstration_engine: EmbeddingEngine, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2, 128, 128, 3), dtype=np.uint8)
    for place, pixels in enumerate(noise):
        Image.fromarray(pixels).save(tmp_path / f"noise{place}.jpg", quality=30)
    with serving_in_thread(demonstration_engine, decode_workers=0, max_body_bytes=100_000) as server:
        page.open(server.url)
        page.add(tmp_path / "noise0.jpg", tmp_path / "noise1.jpg")
        page.click("#compare-tab")
        assert matrix(page).shape[0] == 2
        assert "noise0.jpg" in page.code("#compare-code", "curl")
        for place in range(2):
            page.click("#film button", place)
            page.choose("#contrast", "equalize")  # only a PNG file has this
        page.wait(lambda: page.text("#compare-error"))
        assert page.text("#compare-error") == "These pictures are too large to compare at once; remove some."
        assert "noise0.png" in page.code("#compare-code", "curl")
        page.click("#remove")
        assert page.text("#compare-error") == ""
        assert matrix(page).shape[0] == 1
