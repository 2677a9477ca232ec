"""PNG files in every combination, written here byte by byte, judged by the values that were encoded and by libpng."""

import itertools
import struct
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from model.imaging.images import decode

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # colour types (PNG, table 8)
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), PALETTE: (1, 2, 4, 8)}  # others: 8, 16
# Adam7: first column, first row, column step, row step of each pass (section 8.1)
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
CASES = [
    (colour, depth, interlaced, kind, transparent, size)
    for colour in SAMPLES
    for depth in DEPTHS.get(colour, (8, 16))
    for interlaced, kind, transparent, size in itertools.product(
        (False, True), range(5), (False, True), ((13, 9), (1, 1))
    )
    if not (transparent and colour in (GREY_ALPHA, RGBA))
]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def filtered(rows: NDArray[np.uint8], kind: int, step: int) -> bytes:
    """Rows of bytes with one filter (section 9.2): none, sub, up, average, Paeth."""
    raw = rows.astype(np.int64)
    left, above = np.zeros_like(raw), np.zeros_like(raw)
    left[:, step:], above[1:] = raw[:, :-step], raw[:-1]
    corner = np.zeros_like(raw)
    corner[1:, step:] = raw[:-1, :-step]
    guess = left + above - corner
    distances = np.stack([abs(guess - left), abs(guess - above), abs(guess - corner)])
    paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
    predicted = (np.zeros_like(raw), left, above, (left + above) // 2, paeth)[kind]
    coded = ((raw - predicted) % 256).astype(np.uint8)
    return b"".join(bytes([kind]) + row.tobytes() for row in coded)


def rows_of(values: NDArray[np.int64], depth: int) -> NDArray[np.uint8]:
    """(height, width, samples) to rows of bytes."""
    bits = values[..., None] >> np.arange(depth)[::-1] & 1
    return np.packbits(bits.reshape(values.shape[0], -1).astype(np.uint8), axis=1)


def png_file(values: NDArray[np.int64], colour: int, depth: int, interlaced: bool, kind: int, extra: bytes) -> bytes:
    step = max(1, SAMPLES[colour] * depth // 8)
    height, width = values.shape[:2]
    parts = [values[row::down, column::across] for column, row, across, down in PASSES] if interlaced else [values]
    data = b"".join(filtered(rows_of(part, depth), kind, step) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def expected(values: NDArray[np.int64], colour: int, depth: int, palette: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What docs/images.md says, as RGB."""
    if colour == PALETTE:
        return palette[values[..., 0]].astype(np.int64)
    pixels = values[..., :1] if colour in (GREY, GREY_ALPHA) else values[..., :3]
    if colour == GREY and depth == 16:
        low, high = pixels.min(), pixels.max()
        pixels = np.rint((pixels - low) * 255 / max(high - low, 1)).astype(np.int64)
    elif depth == 16:
        pixels = pixels >> 8
    else:
        pixels = np.rint(pixels * 255 / (2**depth - 1)).astype(np.int64)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_every_combination_gives_the_values_that_were_encoded(record_property: Callable[[str, object], None]) -> None:
    numbers = np.random.default_rng(11)
    palette = numbers.integers(0, 256, (256, 3), dtype=np.uint8)
    for colour, depth, interlaced, kind, transparent, (height, width) in CASES:
        values = numbers.integers(0, 2**depth, (height, width, SAMPLES[colour]))
        extra = chunk(b"PLTE", palette[: 2**depth].tobytes()) if colour == PALETTE else b""
        if transparent:
            alpha = (
                bytes([128] * 2**depth) if colour == PALETTE else struct.pack(">H", values[0, 0, 0]) * SAMPLES[colour]
            )
            extra += chunk(b"tRNS", alpha)
        data = png_file(values, colour, depth, interlaced, kind, extra)
        found = np.asarray(decode(data, max_pixels=1000).convert("RGB"), dtype=np.int64)
        assert np.abs(found - expected(values, colour, depth, palette)).max() <= 1, (colour, depth, interlaced, kind)
        if colour in (RGB, RGBA) and not transparent:
            judged = imagecodecs.png_decode(data)[..., :3].astype(np.int64) >> (depth - 8)
            assert np.array_equal(found, judged)
    record_property("counts", {"compared": len(CASES), "equal": len(CASES)})
    assert len(CASES) > 300
