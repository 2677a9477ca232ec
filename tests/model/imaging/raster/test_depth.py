"""Greyscale of more than 8 bits per pixel."""

import numpy as np
import pytest
from PIL import Image

from model.imaging.images import decode
from model.imaging.raster.depth import scale_to_8_bits
from tests.support.samples import saved

MAX_PIXELS = 64_000_000


DEEP = np.array([[1000, 1500], [2000, 3000]])


DEEP_IN_8_BITS = [[0, 64], [128, 255]]


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("<u2", "PNG"),
        ("<u2", "TIFF"),
        (">u2", "TIFF"),
        ("<i4", "TIFF"),
        ("<f4", "TIFF"),
    ],
)
def test_deep_grey_is_scaled_to_its_own_range(dtype: str, kind: str) -> None:
    image = decode(saved(Image.fromarray(DEEP.astype(dtype)), kind), max_pixels=MAX_PIXELS)
    assert image.mode == "L"
    assert np.asarray(image).tolist() == DEEP_IN_8_BITS


def test_a_deep_tiff_whose_zero_is_white_is_inverted() -> None:
    white_is_zero = saved(Image.fromarray(DEEP.astype(np.uint16)), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(np.asarray(decode(white_is_zero, max_pixels=MAX_PIXELS)), 255 - np.array(DEEP_IN_8_BITS))


@pytest.mark.parametrize(
    ("values", "in_8_bits"),
    [
        ([[-0.5, 0.0, 0.5]], [[0, 128, 255]]),
        ([[7.0, 7.0]], [[0, 0]]),
        ([[0.0, np.nan, 1.0, np.inf, -np.inf]], [[0, 0, 255, 0, 0]]),  # NaN and infinities become the smallest
        ([[np.nan, np.inf]], [[0, 0]]),
        ([[-3e38, 0.0, 3e38]], [[0, 128, 255]]),  # the range itself overflows float32
        ([[0.0, 1e-45]], [[0, 255]]),
    ],
)
def test_floating_point_of_any_range(values: list[list[float]], in_8_bits: list[list[int]]) -> None:
    image = decode(saved(Image.fromarray(np.array(values, dtype=np.float32)), "TIFF"), max_pixels=MAX_PIXELS)
    assert np.asarray(image).tolist() == in_8_bits


def test_a_deep_image_is_scaled_alike_wherever_a_pixel_stands() -> None:
    values = np.tile(np.arange(3000, dtype=np.uint16), (500, 1))  # more pixels than are scaled at once
    scaled = np.asarray(decode(saved(Image.fromarray(values), "TIFF"), max_pixels=MAX_PIXELS))
    assert np.array_equal(scaled, np.rint(values * (255 / 2999)))


@pytest.mark.parametrize(
    ("values", "in_8_bits"),
    [
        ([-1.7e308, 0.0, 1.7e308], [0, 128, 255]),  # the range overflows float64
        ([0.0, 5e-324], [0, 255]),
        ([1.0, 1.0 + 2**-52, 1.0 + 2**-51], [0, 128, 255]),
    ],
)
def test_doubles_of_any_range(values: list[float], in_8_bits: list[int]) -> None:
    assert scale_to_8_bits(np.array(values)).tolist() == in_8_bits
