"""Values of any type to 8 bits."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_BLOCK_VALUES = 2**20
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
    floats = values.dtype.kind == "f"
    finite = values[np.isfinite(values)] if floats else values
    scaled = np.zeros(values.shape, dtype=np.uint8)
    if not finite.size or finite.min() == finite.max():
        return scaled
    low, high = finite.min().item(), finite.max().item()
    flat, target = values.reshape(-1), scaled.reshape(-1)
    for start in range(0, flat.size, _BLOCK_VALUES):  # blocks: the memory of float64
        block = flat[start : start + _BLOCK_VALUES]
        shares = _float_shares(block, low, high) if floats else _integer_shares(block, low, high)
        target[start : start + _BLOCK_VALUES] = np.rint(shares * 255)
    return scaled


def upper_8_bits(values: Values, bits: int) -> Pixels:
    """The upper 8 of the lower `bits` bits of unsigned integers; fewer bits are stretched to 8."""
    if bits >= 8:
        pixels: Pixels = (values >> (bits - 8)).astype(np.uint8)
        return pixels
    largest = 2**bits - 1
    stretched: Pixels = ((values.astype(np.uint16) * 255 + largest // 2) // largest).astype(np.uint8)
    return stretched


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
