"""Readers hold few copies of a picture at a time: peaks of what Python and NumPy allocate, in multiples of its size."""

import gzip
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.imaging.images import check, decode
from model.imaging.raster.depth import scale_picture, upper_8_bits
from tests.support.image_files.bombs.dicom import deflated_pixels, run_lengths
from tests.support.image_files.bombs.volumes import header
from tests.support.image_files.dicom import ct

SIDE = 2500
PIXELS = SIDE * SIDE
ROOM_BYTES = 40_000_000  # blocks of a million values in float64


def peak_bytes(function: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def ybr(photometric: str) -> bytes:
    colours = {"SamplesPerPixel": 3, "PhotometricInterpretation": photometric}
    pixels = np.zeros((SIDE, SIDE * (2 if "422" in photometric else 3)), np.uint8)
    return ct(pixels, Rows=SIDE, Columns=SIDE, **colours)


def volume(kind: type) -> bytes:
    values: NDArray[Any] = np.arange(PIXELS).astype(kind)
    return header(SIDE, SIDE, 1, kind=kind) + values.tobytes()


@pytest.mark.parametrize(
    ("data", "copies"),
    [
        (lambda: ybr("YBR_FULL"), 2),
        (lambda: ybr("YBR_PARTIAL_422"), 5),
        (lambda: ct(np.zeros((SIDE, SIDE), np.uint32), BitsAllocated=32, BitsStored=32, HighBit=31), 1.2),
        (lambda: volume(np.float32), 2),
        (lambda: volume(np.uint32), 2),
        (lambda: volume(np.int64), 2),
        (lambda: volume(np.float64), 2),
    ],
    ids=["YBR_FULL", "YBR_PARTIAL_422", "DICOM of 32 bits", "float32", "uint32", "int64", "float64"],
)
def test_a_picture_is_decoded_in_blocks(data: Callable[[], bytes], copies: int) -> None:
    made = data()
    assert peak_bytes(lambda: decode(made, max_pixels=PIXELS * 2)) < copies * len(made) + ROOM_BYTES


def test_the_upper_bits_of_colours_are_taken_in_blocks() -> None:
    values = np.zeros((SIDE, SIDE, 3), np.uint16)
    assert peak_bytes(lambda: upper_8_bits(values, 16)) < values.nbytes


def test_a_picture_of_pillow_is_scaled_in_strips() -> None:
    image = Image.fromarray(np.linspace(0, 1, 4 * PIXELS, dtype=np.float32).reshape(2 * SIDE, 2 * SIDE))
    assert peak_bytes(lambda: scale_picture(image)) < 4 * PIXELS + ROOM_BYTES


def test_run_lengths_are_expanded_no_further_than_the_frame() -> None:
    data = run_lengths(1_000_000, 500)
    assert peak_bytes(lambda: decode(data, max_pixels=250_000)) < 10_000_000


def test_a_deflated_file_is_inflated_once_into_one_copy() -> None:
    data = deflated_pixels(200_000_000, Rows=8, Columns=8, NumberOfFrames=1000)
    assert peak_bytes(lambda: decode(data, max_pixels=64)) < 1.3 * 200_000_000


def test_a_check_of_compressed_files_inflates_only_the_header() -> None:
    for data in (
        deflated_pixels(100_000_000, Rows=8, Columns=8, NumberOfFrames=1000),
        gzip.compress(header(500, 500, 100, kind=np.uint8) + bytes(25_000_000)),
    ):
        assert peak_bytes(partial(check, data, max_pixels=PIXELS)) < 10_000_000
