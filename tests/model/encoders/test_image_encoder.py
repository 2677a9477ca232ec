"""The image encoder against timm's own DaViT, in which no block is replaced."""

import dataclasses

import pytest
import torch
from timm.layers.drop import DropPath
from timm.models.davit import DaVit
from torch import Tensor

from model.config import ImageEncoderConfig
from model.encoders.image_encoder import build_image_encoder
from tests.support.independent import timm_davit

CONFIG = ImageEncoderConfig(
    image_size=(64, 64),
    image_mean=(0.5, 0.5, 0.5),
    image_std=(0.5, 0.5, 0.5),
    depths=(1, 1, 2, 1),
    widths=(8, 16, 24, 32),
    heads=(1, 2, 3, 4),
    window_size=4,
    drop_path_rate=0.1,
)


def pair(config: ImageEncoderConfig) -> tuple[DaVit, DaVit]:
    """Our encoder and timm's with the same weights. Biases are random too, because padding has the bias of qkv."""
    torch.manual_seed(0)
    ours, theirs = build_image_encoder(config).eval(), timm_davit(config)
    for parameter in ours.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 16
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1) / 2, std=fan_in**-0.5)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


def random_pixels(count: int, height: int, width: int) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize(
    "size",
    [
        (128, 128),  # windows of 4 divide the grids of all stages: 32, 16, 8 and 4
        (64, 64),  # they divide all grids but the last: 16, 8, 4 and 2
        (120, 120),  # 30, 15, 8 and 4: the first two grids are padded
        (64, 128),
        (50, 71),
        (33, 9),
        (1, 1),
    ],
)
def test_features_are_timms_at_any_image_size(size: tuple[int, int]) -> None:
    ours, theirs = pair(CONFIG)
    pixels = random_pixels(3, *size)
    with torch.inference_mode():
        features, expected = ours(pixels), theirs(pixels)
    assert features.shape == (3, 32)
    assert expected.std() > 0.1
    assert (features - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    "changes",
    [
        {"depths": (2, 1, 3, 1)},
        {"widths": (16, 16, 40, 48), "heads": (4, 1, 5, 3)},
        {"window_size": 3},
        {"window_size": 7},
        {"window_size": 1},
        {"drop_path_rate": 0.0},
    ],
    ids=str,
)
def test_features_are_timms_for_any_sizes_of_the_encoder(changes: dict[str, object]) -> None:
    ours, theirs = pair(dataclasses.replace(CONFIG, **changes))  # type: ignore[arg-type]
    pixels = random_pixels(2, 72, 56)
    with torch.inference_mode():
        assert (ours(pixels) - theirs(pixels)).abs().max() < 1e-5


def test_channels_last_pixels_give_the_same_features() -> None:
    ours, theirs = pair(CONFIG)
    pixels = random_pixels(2, 60, 44)
    with torch.inference_mode():
        features = ours(pixels.contiguous(memory_format=torch.channels_last))
        assert (features - theirs(pixels)).abs().max() < 1e-5


def test_gradients_are_timms_too() -> None:
    ours, theirs = pair(CONFIG)
    pixels = random_pixels(2, 40, 56)
    for encoder in (ours, theirs):
        encoder(pixels).square().sum().backward()
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-4, msg=name)


def test_the_rate_of_dropped_paths_grows_with_the_depth_and_acts_in_training_only() -> None:
    encoder = build_image_encoder(dataclasses.replace(CONFIG, drop_path_rate=0.5))
    rates = [module.drop_prob for module in encoder.modules() if isinstance(module, DropPath)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.5)
    pixels = random_pixels(4, 32, 32)
    with torch.inference_mode():
        assert not torch.equal(encoder.train()(pixels), encoder(pixels))
        assert torch.equal(encoder.eval()(pixels), encoder(pixels))
