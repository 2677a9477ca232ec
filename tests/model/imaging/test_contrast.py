"""Histogram equalisation of decoded pictures of every format."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from model.imaging.contrast import change_contrast
from model.imaging.images import decode
from model.imaging.rendering import Rendering, Window
from tests.support.image_files.dicom import ct
from tests.support.image_files.volumes import nrrd
from tests.support.samples import saved

EQUALIZE = Rendering(contrast="equalize")
VALUES = np.random.default_rng(0).gamma(2, 300, (64, 64)).astype(np.int16)  # far more dark values than bright ones
FILES = {
    "DICOM": ct(VALUES),
    "NRRD": nrrd(VALUES[np.newaxis], space="LPS", space_directions="(1,0,0) (0,1,0) (0,0,1)"),
    "PNG of 16 bits": saved(Image.fromarray(VALUES.astype(np.uint16))),
    "JPEG in colours": saved(Image.fromarray((VALUES[..., np.newaxis] // (16, 24, 32)).astype(np.uint8)), "JPEG"),
}


def shown(data: bytes, rendering: Rendering) -> Any:
    return np.asarray(decode(data, max_pixels=10_000, rendering=rendering))


@pytest.mark.parametrize("kind", FILES)
def test_every_format_is_equalised_after_its_values_became_greys(kind: str) -> None:
    usual = decode(FILES[kind], max_pixels=10_000)
    equalised = shown(FILES[kind], EQUALIZE)
    assert np.array_equal(equalised, np.asarray(ImageOps.equalize(usual)))
    assert abs(np.median(equalised) - 127.5) < 10
    assert np.median(np.asarray(usual)) < 100


def test_the_window_comes_first() -> None:
    window = Window(300, 200)
    expected = ImageOps.equalize(Image.fromarray(shown(FILES["DICOM"], Rendering(window=window))))
    assert np.array_equal(shown(FILES["DICOM"], Rendering(window=window, contrast="equalize")), np.asarray(expected))


def test_the_channels_of_a_colour_picture_are_equalised_each_for_itself() -> None:
    colours = np.random.default_rng(1).integers(0, (40, 120, 256), (64, 64, 3)).astype(np.uint8)
    red, green, blue = change_contrast(Image.fromarray(colours), "equalize").split()
    for channel in (red, green, blue):
        assert channel.getextrema() == (0, 255)
    assert np.array_equal(np.asarray(red), np.asarray(ImageOps.equalize(Image.fromarray(colours[..., 0]))))


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [("1", "L"), ("L", "L"), ("LA", "L"), ("P", "RGB"), ("RGBA", "RGB"), ("CMYK", "RGB"), ("LAB", "RGB")],
)
def test_an_equalised_picture_is_grey_or_rgb(mode: str, becomes: str) -> None:
    picture = Image.new(mode, (20, 20))
    assert change_contrast(picture, "none") is picture
    assert change_contrast(picture, "equalize").mode == becomes


def test_a_picture_of_one_grey_stays_as_it_is() -> None:
    assert change_contrast(Image.new("L", (9, 9), 77), "equalize").getextrema() == (77, 77)
