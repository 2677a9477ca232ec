"""The whole model, built from configs of many sizes, against independent implementations of both encoders."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.checkpoints.checkpoint import load_model
from model.config import read_config
from model.encoders.medimageinsight import MedImageInsight
from tests.support.independent import text_encoding, timm_davit
from tests.support.tiny import VOCABULARY_SIZE, write_release

END = VOCABULARY_SIZE - 1
TEXTS = [[END - 1, END], [END - 1, 400, 3, 77, 9, END]]
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "other depths": {"IMAGE_ENCODER.SPEC.DEPTHS": [2, 1, 1, 3]},
    "other widths and heads": {
        "IMAGE_ENCODER.SPEC.DIM_EMBED": [16, 20, 48, 64],
        "IMAGE_ENCODER.SPEC.NUM_HEADS": [4, 5, 6, 8],
        "IMAGE_ENCODER.SPEC.NUM_GROUPS": [4, 5, 6, 8],
    },
    "another window": {"IMAGE_ENCODER.SPEC.WINDOW_SIZE": 5},
    "another image size": {"IMAGE_ENCODER.IMAGE_SIZE": [96, 96]},
    "an oblong image": {"IMAGE_ENCODER.IMAGE_SIZE": [100, 36]},
    "another text encoder": {
        "LANG_ENCODER.WIDTH": 32,
        "LANG_ENCODER.HEADS": 8,
        "LANG_ENCODER.LAYERS": 3,
        "LANG_ENCODER.CONTEXT_LENGTH": 9,
    },
    "a causal text encoder": {"LANG_ENCODER.AUTOGRESSIVE": True},
    "another projection": {"UNICL_MODEL.DIM_PROJECTION": 7},
}


@pytest.mark.parametrize("changes", SIZES.values(), ids=SIZES)
def test_a_model_of_any_sizes_embeds_images_and_texts(tmp_path: Path, changes: dict[str, Any]) -> None:
    release = write_release(tmp_path / "release", changes)
    config = read_config(release / "config.yaml")
    weights = release / "vision_model" / "weights.pt"
    model = load_model(weights, config, VOCABULARY_SIZE, device=torch.device("cpu"), dtype=torch.float32)

    pixels = torch.randn(2, 3, *config.image.image_size, generator=torch.Generator().manual_seed(0))
    timm_encoder = timm_davit(config.image)
    timm_encoder.load_state_dict(model.image_encoder.state_dict(), strict=True)
    with torch.inference_mode():
        check(model.encode_image(pixels), timm_encoder(pixels) @ model.image_projection, config.embedding_size)

    for ids in TEXTS:
        state, causal = model.text_encoder.state_dict(), config.text.causal
        encoding = text_encoding(state, config.text.heads, ids, causal=causal).float()
        features = model.encode_text(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool))
        check(features, encoding[None] @ model.text_projection, config.embedding_size)


def check(features: Tensor, expected: Tensor, embedding_size: int) -> None:
    """Check that the features are the expected ones, divided by their L2 norm."""
    assert features.shape == (len(expected), embedding_size)
    assert (features.norm(dim=-1) - 1).abs().max() < 1e-6
    assert (features - F.normalize(expected, dim=-1)).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_are_float32_for_any_dtype_of_the_model(tmp_path: Path, dtype: torch.dtype) -> None:
    release = write_release(tmp_path / "release")
    model = MedImageInsight(read_config(release / "config.yaml"), VOCABULARY_SIZE).eval().to(dtype)
    with torch.inference_mode():
        images = model.encode_image(torch.randn(1, 3, 64, 64, dtype=dtype))
        texts = model.encode_text(torch.tensor([[END - 1, 5, END]]), torch.ones(1, 3, dtype=torch.bool))
    for features in (images, texts):
        assert features.dtype == torch.float32
        assert (features.norm(dim=-1) - 1).abs().max() < 1e-6
