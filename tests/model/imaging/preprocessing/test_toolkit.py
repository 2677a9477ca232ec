"""The window p1-p99 gives a DICOM file nearly the embedding that it has through Microsoft's toolkit."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from model.checkpoints.release_folder import DEMO_MODEL
from model.engine import EmbeddingEngine
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import AS_STORED, PercentileWindow, Rendering
from tests.support.image_files.dicom import ct
from tests.support.judges.toolkit import toolkit_png

TOOLKIT = Rendering(window=PercentileWindow(1, 99))
PUBLISHED = [
    "CT_small.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "examples_overlay.dcm",
    "693_J2KI.dcm",
    "JPEG2000.dcm",
    "image_dfl.dcm",
]


def scan(side: int = 600) -> NDArray[np.int16]:
    """A smooth picture with a dark margin and fine noise, -1,000 to about 1,500."""
    random = np.random.default_rng(0)
    body = ndimage.gaussian_filter(random.normal(size=(side, side)), side / 25)
    across = np.hypot(*np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j])
    values = np.where(across < 0.8, 300 + 400 * body / body.std(), -1000) + random.normal(0, 9, body.shape)
    stored: NDArray[np.int16] = values.astype(np.int16)
    return stored


SCAN = scan()
MADE: dict[str, dict[str, Any]] = {
    "as stored": {},
    "rescaled": {"RescaleSlope": "2", "RescaleIntercept": "-1024"},
    "a falling slope": {"RescaleSlope": "-0.5", "RescaleIntercept": "7"},
    "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1"},
    "its own window": {"WindowCenter": 300, "WindowWidth": 10},
}


@pytest.fixture(scope="module")
def engine() -> EmbeddingEngine:
    return EmbeddingEngine.load(DEMO_MODEL, device="cpu")


def embedded(engine: EmbeddingEngine, data: bytes, rendering: Rendering = AS_STORED) -> NDArray[np.float32]:
    pixels = engine.preprocess_image(data, Standardization(), rendering)
    vector: NDArray[np.float32] = engine.embed_images([engine.stage_images([pixels])])[0]
    return vector


def cosine(engine: EmbeddingEngine, file: Path, rendering: Rendering = TOOLKIT) -> float:
    """Of the file's embedding to that of the toolkit's picture of it."""
    return float(embedded(engine, file.read_bytes(), rendering) @ embedded(engine, toolkit_png(file)))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_have_the_embedding_of_the_toolkit(engine: EmbeddingEngine, name: str) -> None:
    file = Path(pydicom.__file__).parent / "data" / "test_files" / name
    assert cosine(engine, file) >= 0.999


@pytest.mark.parametrize("name", MADE)
def test_values_and_inversion_are_those_of_the_toolkit(engine: EmbeddingEngine, name: str, tmp_path: Path) -> None:
    (tmp_path / "scan.dcm").write_bytes(ct(SCAN, **MADE[name]))
    assert cosine(engine, tmp_path / "scan.dcm") >= 0.999


def test_the_files_own_window_gives_another_embedding(engine: EmbeddingEngine, tmp_path: Path) -> None:
    (tmp_path / "scan.dcm").write_bytes(ct(SCAN, **MADE["its own window"]))
    assert cosine(engine, tmp_path / "scan.dcm", AS_STORED) < 0.99


def test_padding_counts_for_the_percentiles_of_the_toolkit_only(engine: EmbeddingEngine, tmp_path: Path) -> None:
    padded = np.where(np.arange(600)[:, np.newaxis] < 100, -4000, SCAN).astype(np.int16)
    (tmp_path / "declared.dcm").write_bytes(ct(padded, PixelPaddingValue=-4000))
    (tmp_path / "undeclared.dcm").write_bytes(ct(padded))
    assert cosine(engine, tmp_path / "declared.dcm") < 0.99
    assert cosine(engine, tmp_path / "undeclared.dcm") >= 0.999
