"""An engine without the text encoder: the same image vectors from a part of the weights."""

from pathlib import Path

import numpy as np
import pytest

from model.engine import EmbeddingEngine
from model.errors import CheckpointError, EncoderFault
from tests.support.samples import assert_close, image_vector, png


@pytest.fixture(scope="module")
def image_engine(small_release: Path) -> EmbeddingEngine:
    return EmbeddingEngine.load(small_release, device="cpu", image_only=True)


def test_image_vectors_are_those_of_the_whole_model(image_engine: EmbeddingEngine, engine: EmbeddingEngine) -> None:
    assert_close(image_vector(image_engine, png(1)), image_vector(engine, png(1)))
    assert image_engine.logit_scale == engine.logit_scale


def test_no_parameter_of_the_text_encoder_is_held(image_engine: EmbeddingEngine, engine: EmbeddingEngine) -> None:
    names = {name for name, _ in image_engine._model.named_parameters()}
    whole = {name for name, _ in engine._model.named_parameters()}
    assert whole - names == {name for name in whole if name.startswith("text_")}
    assert {"image_projection", "logit_scale"} <= names


def test_texts_are_refused(image_engine: EmbeddingEngine) -> None:
    assert not image_engine.reads_texts
    with pytest.raises(EncoderFault, match="loaded without its text encoder"):
        image_engine.tokenize("mri")


def test_weights_of_another_model_are_still_found_out(small_release: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    release = tmp_path / "release"
    for name in ("config.yaml", "language_model"):
        release.mkdir(exist_ok=True)
        (release / name).symlink_to(small_release / name)
    (weights,) = (small_release / "vision_model").iterdir()
    tensors = load_file(weights) | {"image_encoder.extra": np.zeros(1, np.float32)}
    save_file(tensors, release / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"has the unknown image_encoder\.extra"):
        EmbeddingEngine.load(release, device="cpu", image_only=True)
