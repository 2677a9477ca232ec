"""Files become pictures: as the server renders them, frame by frame, plane by plane, window by window."""

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.keys import Keys

from model.imaging.rendering import WINDOWS
from tests.support.browser.page import Page

pytestmark = pytest.mark.browser


def rendered(server: str, file: Path, **params: Any) -> Image.Image:
    """The picture of a file as /render answers it."""
    answer = httpx.post(f"{server}/render", params=params, files={"file": file.read_bytes()})
    assert answer.status_code == httpx.codes.OK, answer.text
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


def assert_shows(page: Page, server: str, file: Path, **params: Any) -> None:
    """The page shows exactly the picture that /render answers."""
    assert np.array_equal(np.asarray(page.picture()), np.asarray(rendered(server, file, **params)))


@pytest.fixture
def opened(page: Page, server: str) -> Page:
    page.open(server)
    return page


CONTROLS = {"#frame-control", "#axis-control", "#window-control"}


@pytest.mark.parametrize(
    ("name", "controls"),
    [
        ("ct.dcm", {"#frame-control", "#window-control"}),
        ("volume.nii", CONTROLS),
        ("drawn.png", set()),
        ("photo.jpg", set()),
        ("pages.tif", {"#frame-control"}),
    ],
)
def test_a_file_is_shown_as_the_server_renders_it_with_the_controls_of_its_kind(
    opened: Page, server: str, files: Path, name: str, controls: set[str]
) -> None:
    assert opened.is_shown("#empty")
    opened.add(files / name)
    assert_shows(opened, server, files / name)
    assert opened.text("#caption").startswith(name)
    assert {control for control in CONTROLS if opened.is_shown(control)} == controls
    assert not opened.is_shown("#empty")


def test_files_and_folders_are_dropped(opened: Page, server: str, files: Path, tmp_path: Path) -> None:
    below = tmp_path / "study" / "series"
    below.mkdir(parents=True)
    for number in (10, 2):
        (below / f"slice{number}.png").write_bytes((files / "drawn.png").read_bytes())
    (tmp_path / "study" / "note.txt").write_bytes(b"")
    opened.drop(files / "ct.dcm", tmp_path / "study")
    opened.wait(lambda: len(opened.films) == 3)
    opened.settle()
    assert opened.films == ["ct.dcm", "slice2.png", "slice10.png"]
    assert opened.text("#drop-error") == "Empty files were left out: 1."
    assert_shows(opened, server, files / "ct.dcm")


def test_the_slider_the_arrow_keys_and_the_wheel_change_the_frame(opened: Page, server: str, files: Path) -> None:
    opened.add(files / "ct.dcm")
    assert opened.text("#frame-text") == "1 of 5"
    opened.set("#frame-number", 3)
    assert opened.text("#frame-text") == "4 of 5"
    assert_shows(opened, server, files / "ct.dcm", frame=3)

    opened.js("arguments[0].focus()", opened.find("#frame"))
    opened.press(Keys.ARROW_LEFT)
    opened.settle()
    assert_shows(opened, server, files / "ct.dcm", frame=2)
    opened.press(Keys.END)
    opened.settle()
    assert opened.text("#caption") == "ct.dcm, 5 of 5"

    opened.wheel(-100, -120)  # two notches
    assert_shows(opened, server, files / "ct.dcm", frame=2)


def test_pages_of_a_tiff_file_are_frames(opened: Page, server: str, files: Path) -> None:
    opened.add(files / "pages.tif")
    opened.set("#frame-number", 2)
    assert_shows(opened, server, files / "pages.tif", frame=2)


def test_a_window_and_a_contrast_are_used_for_all_pictures(opened: Page, server: str, files: Path) -> None:
    opened.add(files / "ct.dcm")
    assert not opened.is_shown("#for-all")
    opened.add(files / "volume.nii", files / "drawn.png")
    opened.click("#film li button", 0)
    opened.choose("#window", "lung")
    opened.choose("#contrast", "equalize")
    opened.click("#for-all")
    opened.click("#film li button", 1)
    assert_shows(opened, server, files / "volume.nii", dicom_window="lung", contrast="equalize")
    opened.click("#film li button", 2)
    assert_shows(opened, server, files / "drawn.png", contrast="equalize")


def test_a_volume_has_planes_and_begins_in_its_middle(opened: Page, server: str, files: Path) -> None:
    opened.add(files / "volume.nii")
    assert opened.text("#frame-text") == "13 of 24"
    opened.choose("#axis", "sagittal")
    assert opened.text("#frame-text") == "21 of 40"
    assert_shows(opened, server, files / "volume.nii", axis="sagittal")
    opened.set("#frame-number", 5)
    assert_shows(opened, server, files / "volume.nii", axis="sagittal", frame=5)
    opened.choose("#axis", "coronal")
    assert opened.text("#frame-text") == "17 of 32"


def test_the_windows_are_those_of_the_server(opened: Page) -> None:
    offered = opened.js("return [...document.querySelectorAll('#window option')].map(e => [e.value, e.dataset.window])")
    assert {value for value, _ in offered} == {"", "percentile", "p5-p95", "free", *WINDOWS}
    numbers = {value: tuple(map(float, window.split(","))) for value, window in offered if window}
    assert numbers == {name: (window.center, window.width) for name, window in WINDOWS.items()}


def test_a_preset_a_percentile_and_a_free_window(opened: Page, server: str, files: Path) -> None:
    opened.add(files / "ct.dcm")
    assert not opened.is_shown("#center")
    for window in ("lung", "p5-p95"):
        opened.choose("#window", window)
        assert_shows(opened, server, files / "ct.dcm", dicom_window=window)

    opened.choose("#window", "lung")
    opened.choose("#window", "free")  # begins with the numbers of the window that was shown
    assert (opened.find("#center").get_property("value"), opened.find("#width").get_property("value")) == (
        "-600",
        "1500",
    )
    opened.set("#center", -900)
    opened.set("#width", 250.5)
    assert_shows(opened, server, files / "ct.dcm", dicom_window="-900,250.5")
    opened.set("#width", 0)  # no window: the last one stays
    assert opened.text("#window-error") == "The centre must be a number, and the width greater than 0."
    assert_shows(opened, server, files / "ct.dcm", dicom_window="-900,250.5")


def test_contrast_and_the_first_step_of_azure(opened: Page, server: str, files: Path) -> None:
    opened.add(files / "photo.jpg")
    opened.choose("#contrast", "equalize")
    assert_shows(opened, server, files / "photo.jpg", contrast="equalize")
    opened.click("#standardized")
    assert_shows(opened, server, files / "photo.jpg", contrast="equalize", standardized=True)


def test_each_picture_of_the_filmstrip_keeps_its_settings(opened: Page, server: str, files: Path) -> None:
    opened.add(files / "ct.dcm")
    opened.choose("#window", "bone")
    opened.add(files / "drawn.png", files / "photo.jpg")
    assert opened.films == ["ct.dcm", "drawn.png", "photo.jpg"]
    assert_shows(opened, server, files / "drawn.png")  # the first of the new ones
    opened.click("#film button")
    assert_shows(opened, server, files / "ct.dcm", dicom_window="bone")
    assert [button.get_attribute("aria-current") for button in opened.all("#film button")] == ["true", "false", "false"]

    opened.click("#remove")
    assert opened.films == ["drawn.png", "photo.jpg"]
    assert_shows(opened, server, files / "drawn.png")
    opened.click("#clear")
    assert opened.films == []
    assert opened.is_shown("#empty")


def test_the_picture_is_saved_as_png(opened: Page, server: str, files: Path) -> None:
    opened.add(files / "ct.dcm")
    opened.set("#frame-number", 1)
    saved = opened.saved("#save")
    assert saved.name == "ct-1.png"
    assert np.array_equal(
        np.asarray(Image.open(saved).convert("RGB")), np.asarray(rendered(server, files / "ct.dcm", frame=1))
    )


def test_a_picture_of_the_page_is_not_dropped_as_a_new_file(opened: Page, files: Path) -> None:
    opened.add(files / "drawn.png")
    dragged = "return arguments[0].dispatchEvent(new DragEvent('dragstart', { bubbles: true, cancelable: true }))"
    for css in ("#shown", "#film img"):
        assert not opened.js(dragged, opened.find(css))
    assert opened.js(dragged, opened.find("#caption"))  # text can be dragged
