"""Headers of JPEG 2000 codestreams that OpenJPEG writes."""

import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from model.imaging.codestreams.jpeg_2000 import Coding, Component, cost, lacks_tiles, read_coding, read_size
from tests.support.image_files.bombs.codestreams import (
    black_codestream,
    finely_coded,
    many_codings,
    many_tiles,
    resized,
)
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


LARGE = 8000  # pixels; its square is the default limit


def large(channels: int = 3, **options: object) -> bytes:
    """A picture of 64 million pixels, but for its data."""
    colour = Image.fromarray(np.zeros((256, 256, channels), np.uint8))
    return resized(saved(colour, "JPEG2000", no_jp2=True, **options), LARGE)


def in_tiles(codestream: bytes, side: int) -> bytes:
    return codestream[:24] + struct.pack(">II", side, side) + codestream[32:]  # XTsiz and YTsiz


@pytest.mark.parametrize(
    "data",
    [
        large(),
        large(4, codeblock_size=(32, 32)),
        large(precinct_size=(256, 256), quality_layers=list(range(60, 0, -5))),
        large(4, precinct_size=(128, 128), quality_layers=list(range(60, 0, -5))),
        in_tiles(large(4, codeblock_size=(32, 32)), 128),
        in_tiles(large(num_resolutions=8), 128),
        in_tiles(large(4, codeblock_size=(32, 32), precinct_size=(256, 256)), 1024),
        black_codestream(8),
        b"noise",
    ],
)
def test_the_largest_pictures_of_usual_encoders_are_not_too_costly(data: bytes) -> None:
    assert cost(data) <= 1


def coc(component: int, block: int) -> bytes:
    """Five decompositions and square blocks for one component (A.6.2)."""
    return struct.pack(">HHBBBBBBB", 0xFF53, 9, component, 0, 5, block, block, 0, 1)


@pytest.mark.parametrize(
    "data",
    [
        many_tiles(255),
        many_codings(300),
        finely_coded(LARGE, block=0),
        finely_coded(LARGE, block=0, is_in_tile=True),
        # OpenJPEG steps over an unknown marker only, and finds what is in its segment.
        finely_coded(LARGE, block=0, before=b"\xff\x70\0\x16"),
        finely_coded(LARGE, precinct=1),
        finely_coded(LARGE, precinct=7, layers=65535),
        resized(black_codestream(8).replace(b"\xff\x5c", coc(0, 0) + b"\xff\x5c"), LARGE),
        black_codestream(8).partition(b"\xff\x90")[0] + b"\xff\x90\0\x0a\0\0\0\0\0\x0e\0\0\xff\x93" * 300_000,
    ],
)
def test_too_many_tiles_blocks_packets_or_tile_parts_are_too_costly(data: bytes) -> None:
    assert cost(data) > 1


def test_a_codestream_lacks_tiles_if_one_has_no_tile_part() -> None:
    whole = saved(Image.fromarray(COLOUR), "JPEG2000", no_jp2=True, tile_size=(40, 40))
    second, third = (whole.index(struct.pack(">HHH", 0xFF90, 10, number)) for number in (1, 2))
    assert not lacks_tiles(whole)
    assert lacks_tiles(whole[:second] + whole[third:])
    assert lacks_tiles(whole[:third] + b"\xff\xd9")
    assert not lacks_tiles(finely_coded(LARGE, is_in_tile=True))
