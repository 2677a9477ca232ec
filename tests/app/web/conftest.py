"""A server with the demonstration model, a browser, and drawn files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver

from model.checkpoints.release_folder import DEMO_MODEL
from model.engine import EmbeddingEngine
from tests.support.browser.chromium import asked_origins, chromium, console, network, resize, save_downloads_to
from tests.support.browser.page import Page
from tests.support.image_files.dicom import ct
from tests.support.image_files.raster import gradient
from tests.support.image_files.volumes import nifti
from tests.support.servers.thread_server import serving_in_thread


@pytest.fixture(scope="session")
def demonstration_engine() -> EmbeddingEngine:
    return EmbeddingEngine.load(DEMO_MODEL, device="cpu")


@pytest.fixture(scope="session")
def server(demonstration_engine: EmbeddingEngine) -> Iterator[str]:
    """The address of a server with the demonstration model."""
    with serving_in_thread(demonstration_engine, decode_workers=0) as running:
        yield running.url


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Page]:
    """The page, which ends every test without an error in the console and without a request to another server."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    resize(browser, 1280)
    save_downloads_to(browser, downloads)
    browser.get("about:blank")
    console(browser)  # forget what other tests did
    network(browser)
    page = Page(browser, downloads)
    yield page
    assert console(browser) == []
    assert asked_origins(network(browser)) <= page.origins


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one drawn file of each kind that a visitor may have."""
    folder = tmp_path_factory.mktemp("pictures")
    slices = np.add.outer(500 * np.arange(5), np.add.outer(20 * np.arange(64), 10 * np.arange(48))).astype(np.int16)
    (folder / "ct.dcm").write_bytes(ct(slices, RescaleIntercept=-1000, RescaleSlope=1))
    volume = np.random.default_rng(0).normal(100, 30, (40, 32, 24)).astype(np.int16)
    (folder / "volume.nii").write_bytes(nifti(volume))
    gradient("RGB", (80, 60)).save(folder / "drawn.png")
    gradient("L", (60, 80)).save(folder / "photo.jpg")
    pages = [Image.new("L", (50, 40), level) for level in (30, 120, 210)]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    return folder
