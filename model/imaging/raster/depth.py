"""Values of any type to 8 bits."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.imaging.windowing import blocks_of_rows

_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_BLOCK_VALUES = 2**20  # bounds the memory of float64
_MAX_EXPONENT = 1000  # of a float64 whose difference to another one is finite

Values = NDArray[Any]
Pixels = NDArray[np.uint8]


def is_deep(image: Image.Image) -> bool:
    """Whether a Pillow image is greyscale of more than 8 bits per pixel."""
    return image.mode in _DEEP_MODES


def scale_to_8_bits(values: Values) -> Pixels:
    """Scale linearly from the smallest (0) to the largest (255) finite value. All channels have the same scale.

    The arithmetic is exact to float64: neighbouring integers of 64 bits stay apart. NaN and infinite values become 0.
    Values that are all equal, or not finite, become 0.
    """
    flat = values.reshape(-1)
    return _scale(lambda: (flat[at : at + _BLOCK_VALUES] for at in range(0, flat.size, _BLOCK_VALUES)), values.shape)


def scale_picture(image: Image.Image) -> Pixels:
    """The values of an image that `is_deep`, (H, W), as `scale_to_8_bits`. They are never copied as a whole."""
    rows = max(1, _BLOCK_VALUES // image.width)

    def strips() -> Iterator[Values]:
        for top in range(0, image.height, rows):
            yield np.asarray(image.crop((0, top, image.width, min(top + rows, image.height)))).reshape(-1)

    return _scale(strips, (image.height, image.width))


def upper_8_bits(values: Values, bits: int) -> Pixels:
    """The upper 8 of the lower `bits` bits of unsigned integers; fewer bits are stretched to 8."""
    if bits == 8 and values.dtype == np.uint8:
        return values
    if bits >= 8:
        return by_rows(values, lambda rows: (rows >> (bits - 8)).astype(np.uint8))
    largest = 2**bits - 1
    return by_rows(values, lambda rows: ((rows.astype(np.uint16) * 255 + largest // 2) // largest).astype(np.uint8))


def by_rows(values: Values, function: Callable[[Values], Pixels]) -> Pixels:
    """Apply a function to some rows at a time, which bounds the memory of its arithmetic.

    Args:
        values: (H, W, ...).
        function: gives uint8 of the same shape.
    """
    pixels = np.empty(values.shape, dtype=np.uint8)
    for rows in blocks_of_rows(values):
        pixels[rows] = function(values[rows])
    return pixels


def _scale(blocks: Callable[[], Iterable[Values]], shape: tuple[int, ...]) -> Pixels:
    """Scale values that are given in blocks, twice in the same order."""
    scaled = np.zeros(shape, dtype=np.uint8)
    target, start = scaled.reshape(-1), 0
    low, high = _finite_range(blocks())
    for block in blocks() if low < high else ():
        shares = _float_shares if block.dtype.kind == "f" else _integer_shares
        target[start : start + block.size] = np.rint(shares(block, low, high) * 255)
        start += block.size
    return scaled


def _finite_range(blocks: Iterable[Values]) -> tuple[Any, Any]:
    """The smallest and the largest finite value; 0 and 0 if there is none."""
    finite = (block[np.isfinite(block)] if block.dtype.kind == "f" else block for block in blocks)
    limits = [(block.min().item(), block.max().item()) for block in finite if block.size]
    return min((low for low, _ in limits), default=0), max((high for _, high in limits), default=0)


def _integer_shares(block: Values, low: int, high: int) -> NDArray[np.float64]:
    """Where between `low` and `high` each value lies, 0 to 1. Differences wrap around in 64 bits, so they are exact."""
    above = block.astype(np.uint64) - np.uint64(low % 2**64)
    return above.astype(np.float64) / float(high - low)


def _float_shares(block: Values, low: float, high: float) -> NDArray[np.float64]:
    """Where between `low` and `high` each value lies, 0 to 1, whatever the range: it may overflow float64."""
    exponent = math.frexp(max(abs(low), abs(high)))[1]
    shift = -exponent if abs(exponent) > _MAX_EXPONENT else 0
    scaled = np.ldexp(np.where(np.isfinite(block), block, low).astype(np.float64), shift)
    start, end = math.ldexp(low, shift), math.ldexp(high, shift)
    return (scaled - start) / (end - start)
