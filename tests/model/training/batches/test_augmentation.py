"""Random changes of training images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from model.errors import TrainingError
from model.imaging.preprocessing import preprocess
from model.training.batches.augmentation import Augmentation
from model.training.options import EXTRA_AUGMENTATIONS

FILL = (10, 20, 30)
RAMP = Image.fromarray(np.tile(np.linspace(0, 255, 60, dtype=np.uint8), (48, 1)))  # dark on the left
BARE = Augmentation.none()


def varied(augmentation: Augmentation, image: Image.Image, seed: int) -> NDArray[np.uint8]:
    torch.manual_seed(seed)
    return augmentation(image, (32, 40), FILL)


def test_without_augmentation_an_image_is_as_the_service_sees_it() -> None:
    expected = preprocess(RAMP, (32, 40), None)
    np.testing.assert_array_equal(varied(BARE, RAMP, 0), expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("name", EXTRA_AUGMENTATIONS)
def test_every_extra_gives_an_image_and_changes_it(name: str, mode: str) -> None:
    noise = Image.effect_noise(RAMP.size, 60)
    image = Image.merge("RGB", (RAMP, noise, RAMP)).convert(mode)
    augmentation = replace(BARE, extra={name: 1.0})
    pixels = varied(augmentation, image, 1)
    assert pixels.shape == (32, 40, 3)
    assert pixels.dtype == np.uint8
    assert (pixels != preprocess(image, (32, 40), None)).any() or (name, mode) == ("gray", "L")


def test_the_same_seed_gives_the_same_image_and_another_seed_another() -> None:
    augmentation = Augmentation(extra=dict.fromkeys(EXTRA_AUGMENTATIONS, 0.5))
    np.testing.assert_array_equal(varied(augmentation, RAMP, 7), varied(augmentation, RAMP, 7))
    assert (varied(augmentation, RAMP, 7) != varied(augmentation, RAMP, 8)).any()


def test_no_image_is_flipped_by_default() -> None:
    crops = replace(BARE, crop_area=0.3)
    for seed in range(20):
        pixels = varied(crops, RAMP, seed).astype(int)
        assert pixels[:, 0].mean() < pixels[:, -1].mean()
    flipped = varied(replace(BARE, horizontal_flip=1.0), RAMP, 0).astype(int)
    assert flipped[:, 0].mean() > flipped[:, -1].mean()


def test_erasing_fills_a_rectangle_with_the_mean_colour() -> None:
    pixels = varied(replace(BARE, erase=1.0), RAMP, 2)
    erased = (pixels == FILL).all(-1)
    rows, columns = erased.any(1).sum(), erased.any(0).sum()
    assert erased.sum() == rows * columns
    assert 0.01 < erased.mean() < 0.4


def test_an_unknown_extra_is_refused() -> None:
    with pytest.raises(TrainingError, match="called sharpen"):
        Augmentation(extra={"sharpen": 1.0})
