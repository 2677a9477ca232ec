"""TIFF tiles: their size is checked, whatever the image shows of them."""

import pytest

from model.errors import ImageTooLarge
from model.imaging.images import decode
from model.imaging.raster.reader import open_image
from tests.support.image_files.raster import tiled_tiff


@pytest.mark.parametrize(
    ("order", "big"), [("<", False), (">", False), ("<", True)]
)  # Pillow has no big-endian BigTIFF
@pytest.mark.parametrize("kind", ["H", "I", "i", "Q", "q"])  # "q" is a type that libtiff reads and Pillow does not
def test_a_tiff_of_one_pixel_cannot_hide_a_huge_tile(kind: str, order: str, big: bool) -> None:
    data = tiled_tiff(2048, order=order, kind=kind, big=big)
    assert decode(data, max_pixels=2048 * 2048).size == (1, 1)
    with pytest.raises(ImageTooLarge):
        open_image(data, max_pixels=2048 * 2048 - 1)
