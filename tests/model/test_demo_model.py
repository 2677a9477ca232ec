"""The demonstration model: a small release folder that loads quickly and recognises what it was trained on."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from model.checkpoints.release_folder import DEMO_MODEL, find_release_folder
from model.data.label_texts import read_label_texts
from model.engine import EmbeddingEngine
from model.imaging.preprocessing import Standardization
from tests.conftest import IMAGES

LABELS = read_label_texts(DEMO_MODEL / "label_texts.yaml")


@pytest.fixture(scope="module")
def engine() -> EmbeddingEngine:
    return EmbeddingEngine.load(DEMO_MODEL, device="cpu")


def closest(engine: EmbeddingEngine, image: Path, texts: list[str], standardization: Standardization | None) -> str:
    pixels = engine.preprocess_image(image.read_bytes(), standardization)
    picture = engine.embed_images([engine.stage_images([pixels])])[0]
    return texts[int(np.argmax(text_features(engine, texts) @ picture))]


def text_features(engine: EmbeddingEngine, texts: list[str]) -> np.ndarray:
    return engine.embed_texts([engine.tokenize(text) for text in texts])


def test_it_fits_in_twenty_megabytes() -> None:
    files = [path for path in DEMO_MODEL.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) <= 20e6
    assert find_release_folder(DEMO_MODEL).weights.suffix == ".safetensors"
    assert not [path for path in files if path.suffix in (".png", ".jpg", ".jpeg")], (
        "the package contains no image of the training data"
    )


@pytest.mark.timing
def test_it_loads_in_under_a_second(engine: EmbeddingEngine) -> None:
    start = time.process_time()  # CPU seconds, because other load lengthens the wall time
    EmbeddingEngine.load(DEMO_MODEL, device="cpu")
    assert time.process_time() - start < 1


def test_features_have_unit_length(engine: EmbeddingEngine) -> None:
    features = text_features(engine, ["ct chest", "x-ray hand"])
    assert features.shape == (2, engine.embedding_size)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("standardization", [Standardization(), None])
def test_a_ct_slice_is_closest_to_its_text(engine: EmbeddingEngine, standardization: Standardization | None) -> None:
    texts = ["computed tomography", "mri breast", "chest x-ray"]
    assert closest(engine, IMAGES / "ct_gray.png", texts, standardization) == "computed tomography"


def test_every_wording_is_closest_to_its_own_label(engine: EmbeddingEngine) -> None:
    labels = list(LABELS)
    features = text_features(engine, labels)
    lost = [
        (label, text)
        for number, label in enumerate(labels)
        for text, vector in zip(LABELS[label], text_features(engine, list(LABELS[label])), strict=True)
        if int(np.argmax(features @ vector)) != number
    ]
    assert len(lost) <= 0.02 * sum(map(len, LABELS.values())), lost


@pytest.mark.parametrize(
    ("unseen", "label", "other"),
    [
        ("radiograph of the chest with signs of pneumonia", "x-ray chest pneumonia", "x-ray chest no finding"),
        ("chest film: no abnormality, no pneumonia", "x-ray chest no finding", "x-ray chest pneumonia"),
        ("a lymphocyte", "blood smear microscopy white blood cell", "blood smear microscopy red blood cell"),
        ("computed tomography scan showing the brain", "ct head", "ct abdomen"),
        (
            "malignant appearing breast mass, ultrasound",
            "ultrasound breast malignant tumor",
            "ultrasound breast normal",
        ),
    ],
)
def test_wordings_that_it_was_not_trained_on(engine: EmbeddingEngine, unseen: str, label: str, other: str) -> None:
    unseen_vector, label_vector, other_vector = text_features(engine, [unseen, label, other])
    assert unseen_vector @ label_vector > unseen_vector @ other_vector


@pytest.mark.parametrize("text", ["", "Глаз ☃ naïve 123", "schistosomiasis", "x" * 5000])
def test_any_text_is_tokenised(engine: EmbeddingEngine, text: str) -> None:
    ids = engine.tokenize(text)
    assert len(ids) <= engine.config.text.context_length
    assert (
        ids.count(engine.tokenizer.vocabulary_size - 1) == 1
    )  # the end token, at which the text encoder takes the features


def test_label_texts_begin_with_the_label_and_are_unambiguous() -> None:
    texts = [text for texts in LABELS.values() for text in texts]
    assert all(label == texts[0] for label, texts in LABELS.items())
    assert len(texts) == len(set(texts))


def test_the_vocabulary_ends_with_the_end_of_text_token() -> None:
    vocabulary = json.loads((find_release_folder(DEMO_MODEL).tokenizer / "vocab.json").read_text(encoding="utf-8"))
    assert max(vocabulary, key=vocabulary.__getitem__) == "<|endoftext|>"
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
