"""Headers of JPEG 2000 codestreams that OpenJPEG writes."""

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from model.imaging.codestreams.jpeg_2000 import Coding, Component, read_coding, read_size
from tests.support.samples import saved

COLOUR = np.zeros((60, 90, 3), np.uint8)


def encoded(pixels: np.ndarray, *, reversible: bool = True, mct: bool = True) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=reversible, mct=mct))


def test_size_components_and_tiles_are_read() -> None:
    tiled = saved(Image.fromarray(COLOUR), "JPEG2000", no_jp2=True, tile_size=(40, 40))
    size = read_size(tiled)
    assert size is not None
    assert (size.width, size.height, size.tiles) == (90, 60, 6)
    assert size.components == (Component(8, is_signed=False, is_subsampled=False),) * 3


def test_signed_samples_are_recognised() -> None:
    size = read_size(encoded(np.zeros((60, 90), np.int16)))
    assert size is not None
    assert size.components == (Component(16, is_signed=True, is_subsampled=False),)


@pytest.mark.parametrize("reversible", [False, True])
@pytest.mark.parametrize("mct", [False, True])
def test_the_coding_is_read(reversible: bool, mct: bool) -> None:
    assert read_coding(encoded(COLOUR, reversible=reversible, mct=mct)) == Coding(mct, reversible)


@pytest.mark.parametrize("data", [b"", b"noise" * 20, encoded(COLOUR)[:44], b"\xff\x4f\xff\x51" + bytes(100)])
def test_other_bytes_have_no_size(data: bytes) -> None:
    assert read_size(data) is None


def test_a_codestream_cut_short_in_its_header_has_no_coding() -> None:
    assert read_coding(encoded(COLOUR)[:55]) is None
