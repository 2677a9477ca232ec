"""Golden vectors of the reference implementation: token ids must be equal, and vectors within 1e-4."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from model.engine import EmbeddingEngine
from model.imaging.preprocessing import Standardization
from tests.parity.make_checkpoint import HERE, WEIGHTS_SHA256, make_checkpoint

# mode -> (standardization, maximum difference of a component)
MODES = {
    "standardized": (Standardization(), 1e-4),
    "plain": (None, 5e-5),
    "size=480,quality=95": (Standardization(size=480, jpeg_quality=95), 1e-4),
}
TEXT_TOLERANCE = 5e-5
IMAGE_VECTORS = {"small": 33, "full": 4}


@pytest.fixture(scope="module", params=["small", pytest.param("full", marks=pytest.mark.full)])
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def golden_engine(size: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingEngine]:
    release = make_checkpoint(size, tmp_path_factory.mktemp(size))
    yield EmbeddingEngine.load(release, device="cpu", dtype="float32")
    next((release / "vision_model").iterdir()).unlink()  # 2.5 GB


def expected(size: str) -> dict[str, np.ndarray]:
    with np.load(HERE / f"expected_{size}.npz") as arrays:
        return dict(arrays)


def test_the_checkpoint_is_the_one_the_vectors_belong_to(golden_engine: EmbeddingEngine, size: str) -> None:
    assert golden_engine.release.weights_sha256() == WEIGHTS_SHA256[size]


def test_token_ids(golden_engine: EmbeddingEngine, size: str) -> None:
    for text in json.loads((HERE / f"expected_{size}.json").read_text())["texts"]:
        assert list(golden_engine.tokenize(text["text"])) == text["input_ids"]


def test_logit_scale(golden_engine: EmbeddingEngine, size: str) -> None:
    assert golden_engine.logit_scale == json.loads((HERE / f"expected_{size}.json").read_text())["logit_scale"]


def test_texts(golden_engine: EmbeddingEngine, size: str) -> None:
    texts = [text["text"] for text in json.loads((HERE / f"expected_{size}.json").read_text())["texts"]]
    features = golden_engine.embed_texts([golden_engine.tokenize(text) for text in texts])
    wanted = np.stack([expected(size)[f"text/{number}"] for number in range(len(texts))])
    assert np.abs(features - wanted).max() < TEXT_TOLERANCE


def test_images(golden_engine: EmbeddingEngine, size: str) -> None:
    vectors = {key: vector for key, vector in expected(size).items() if key.startswith("image/")}
    assert len(vectors) == IMAGE_VECTORS[size]
    for key, vector in vectors.items():
        _, mode, name = key.split("/")
        standardization, tolerance = MODES[mode]
        pixels = golden_engine.preprocess_image((HERE / "images" / name).read_bytes(), standardization)
        features = golden_engine.embed_images([golden_engine.stage_images([pixels])])
        assert np.abs(features[0] - vector).max() < tolerance, key
