"""The example pictures of the page are what the recipe draws, are read, and get a right answer."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from model.checkpoints.release_folder import DEMO_MODEL
from model.engine import EmbeddingEngine
from model.heads.catalogue import read_catalogue
from model.imaging.images import decode, frame_count
from model.imaging.rendering import WINDOWS, Rendering
from recipes.example_images.ct import values as hu
from recipes.example_images.recipe import DRAWINGS, MAX_PIXELS, draw_all, thumbnail_of
from tests.support.samples import image_vector, text_vector

FOLDER = Path(__file__).parents[2] / "app" / "web" / "static" / "examples"
EXAMPLES: list[dict[str, Any]] = json.loads((FOLDER / "examples.json").read_text(encoding="utf-8"))
BY_FILE = {example["file"]: example for example in EXAMPLES}
MAX_BYTES = 1_600_000  # of the whole folder, which is in every image of the service
# Scores of the right label, from the table in recipes/example_images/README.md.
SCORES = {
    "chest-x-ray.png": 0.99,
    "ct-chest.dcm": 0.98,
    "mr-brain.nii.gz": 0.95,
    "ultrasound.png": 0.99,
    "blood-smear.jpg": 0.84,
}


def greys(folder: Path, name: str, **rendering: Any) -> np.ndarray:
    picture = decode((folder / name).read_bytes(), max_pixels=MAX_PIXELS, rendering=Rendering(**rendering))
    return np.asarray(picture, int)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    draw_all(folder)
    return folder


@pytest.fixture(scope="module")
def engine() -> EmbeddingEngine:
    return EmbeddingEngine.load(DEMO_MODEL, device="cpu")


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_recipe_draws_the_committed_file(drawn: Path, name: str) -> None:
    frames = frame_count((FOLDER / name).read_bytes(), max_pixels=MAX_PIXELS)
    for frame in {0, frames // 2, frames - 1}:
        difference = np.abs(greys(drawn, name, frame=frame) - greys(FOLDER, name, frame=frame))
        assert difference.max() <= 2  # other processors round differently
        assert difference.mean() < 0.01
    assert np.abs(greys(drawn, thumbnail_of(name)) - greys(FOLDER, thumbnail_of(name))).mean() < 0.5


def test_the_folder_holds_what_the_page_lists_and_is_small() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    assert set(BY_FILE) == set(DRAWINGS)
    assert files == {*BY_FILE, *(example["thumbnail"] for example in EXAMPLES), "examples.json"}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MAX_BYTES


def test_the_volumes_have_slices_in_all_planes() -> None:
    ct, mr = ((FOLDER / name).read_bytes() for name in ("ct-chest.dcm", "mr-brain.nii.gz"))
    assert frame_count(ct, max_pixels=MAX_PIXELS) == 18
    counts = [
        frame_count(mr, max_pixels=MAX_PIXELS, rendering=Rendering(axis=axis))
        for axis in ("axial", "coronal", "sagittal")
    ]
    assert counts == [88, 128, 128]


def test_the_ct_has_hounsfield_units_and_says_that_nobody_was_examined() -> None:
    dataset = pydicom.dcmread(io.BytesIO((FOLDER / "ct-chest.dcm").read_bytes()))
    rescaling = dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
    values = dataset.pixel_array * float(rescaling.RescaleSlope) + float(rescaling.RescaleIntercept)
    assert values[0, 5, 5] == hu.AIR
    lung = values[1, 120:150, 55:70]
    assert np.median(lung) == pytest.approx(hu.LUNG, abs=70)  # denser towards the back
    liver = values[9, 118:138, 60:80]
    assert np.median(liver) == pytest.approx(hu.LIVER, abs=15)
    assert values.max() > 600  # bone
    assert dataset.PatientID == "PHANTOM"
    assert dataset.SeriesDescription == "Drawn by a program, not a patient"


def test_windows_change_the_ct_visibly() -> None:
    pictures = [greys(FOLDER, "ct-chest.dcm")]
    pictures += [greys(FOLDER, "ct-chest.dcm", window=WINDOWS[name]) for name in ("lung", "abdomen", "bone", "brain")]
    for number, picture in enumerate(pictures):
        assert all(np.abs(picture - other).mean() > 5 for other in pictures[:number])


@pytest.mark.parametrize("name", SCORES)
def test_the_demonstration_model_answers_rightly(engine: EmbeddingEngine, name: str) -> None:
    labels = BY_FILE[name]["labels"]
    texts = {label: (label,) for label in labels["labels"]} if "labels" in labels else catalogue(labels["catalogue"])
    image = image_vector(engine, (FOLDER / name).read_bytes())
    logits = np.array([mean_vector(engine, wordings) @ image for wordings in texts.values()]) * np.exp(
        engine.logit_scale
    )
    scores = np.exp(logits - logits.max())
    scores /= scores.sum()
    assert list(texts)[int(scores.argmax())] == BY_FILE[name]["top"]
    assert scores.max() == pytest.approx(SCORES[name], abs=0.02)


def mean_vector(engine: EmbeddingEngine, texts: tuple[str, ...]) -> np.ndarray:
    mean = np.mean([text_vector(engine, text) for text in texts], axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def catalogue(name: str) -> dict[str, tuple[str, ...]]:
    return {label: entry.present for label, entry in read_catalogue(name).prompts.items()}
