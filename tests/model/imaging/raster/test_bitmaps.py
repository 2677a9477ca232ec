"""BMP and GIF: the kinds that few programs write."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import ImageFormatUnsupported
from model.imaging.images import decode
from tests.support.image_files.raster import gradient
from tests.support.samples import saved

WIDTH, HEIGHT = 7, 5
RAW, RLE8, RLE4, BIT_FIELDS = 0, 1, 2, 3
LEVELS = np.random.default_rng(0).integers(0, 32, (HEIGHT, WIDTH, 3))  # of 5 bits


def bmp(bits: int, rows: bytes, *, kind: int = RAW, behind: bytes = b"", top_down: bool = False) -> bytes:
    """A BMP; `behind` is the palette or the masks of the colours."""
    height = -HEIGHT if top_down else HEIGHT
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, bits, kind, len(rows), 0, 0, 0, 0)
    start = 14 + len(header) + len(behind)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + behind + rows


def rows_of(values: NDArray[np.int64], letter: str) -> bytes:
    """Rows from the bottom, each padded to a multiple of four bytes."""
    rows = [row.astype(letter).tobytes() for row in values[::-1]]
    return b"".join(row.ljust(-(-len(row) // 4) * 4, b"\0") for row in rows)


@pytest.mark.parametrize("depth", ["555", "565"])
def test_16_bits_per_pixel(depth: str) -> None:
    red, green, blue = np.moveaxis(LEVELS, 2, 0)
    if depth == "555":
        data = bmp(16, rows_of(red << 10 | green << 5 | blue, "<u2"))
    else:
        masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
        data = bmp(16, rows_of(red << 11 | green << 6 | blue, "<u2"), kind=BIT_FIELDS, behind=masks)
    found = np.asarray(decode(data, max_pixels=100), dtype=int)
    tolerance = 5 if depth == "565" else 1  # the lowest of 6 bits is 0 here
    assert np.abs(found - np.rint(LEVELS * (255 / 31))).max() <= tolerance


def test_32_bits_per_pixel_with_masks() -> None:
    red, green, blue = np.moveaxis(LEVELS * 8, 2, 0)
    masks = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    data = bmp(32, rows_of(red << 16 | green << 8 | blue, "<u4"), kind=BIT_FIELDS, behind=masks)
    assert np.array_equal(np.asarray(decode(data, max_pixels=100).convert("RGB")), LEVELS * 8)


def test_masks_that_are_not_read_are_refused() -> None:
    data = bmp(32, bytes(4 * WIDTH * HEIGHT), kind=BIT_FIELDS, behind=struct.pack("<III", 0x7, 0x70, 0x700))
    with pytest.raises(ImageFormatUnsupported, match="the BMP image has a combination of features that is not read"):
        decode(data, max_pixels=100)


def test_rows_from_the_top() -> None:
    stored = rows_of(LEVELS[::-1].reshape(HEIGHT, -1) * 8, "u1")
    assert np.array_equal(np.asarray(decode(bmp(24, stored, top_down=True), max_pixels=100)), LEVELS[..., ::-1] * 8)


@pytest.mark.parametrize("bits", [8, 4])
def test_run_lengths(bits: int) -> None:
    palette = b"".join(bytes([level, level, level, 0]) for level in range(2**bits))
    indices = np.arange(HEIGHT)[:, None].repeat(WIDTH, axis=1)
    runs = b"".join(bytes([WIDTH, row if bits == 8 else row * 17, 0, 0]) for row in range(HEIGHT - 1, -1, -1)) + b"\0\1"
    data = bmp(bits, runs, kind=RLE8 if bits == 8 else RLE4, behind=palette)
    assert np.array_equal(np.asarray(decode(data, max_pixels=100).convert("L")), indices)


@pytest.mark.parametrize("interlace", [0, 1])
def test_an_interlaced_gif(interlace: int) -> None:
    source = gradient("L")
    data = saved(source, "GIF", interlace=interlace)
    assert np.array_equal(np.asarray(decode(data, max_pixels=10_000).convert("L")), np.asarray(source))


@pytest.mark.parametrize("kind", ["BMP", "GIF", "WEBP", "AVIF", "JPEG2000"])
def test_bytes_behind_a_picture_do_not_matter(kind: str) -> None:
    data = saved(gradient(), kind)
    whole, longer = (np.asarray(decode(file, max_pixels=10_000)) for file in (data, data + bytes(1000)))
    assert np.array_equal(whole, longer)
