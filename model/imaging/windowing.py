"""Values of any range to the 256 greys of a screen."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import ImageDecodeError
from model.imaging.rendering import Window

PERCENTILES = (0.5, 99.5)  # of what comes without a window
_BLOCK = 2**20  # values at once: the arithmetic is in float64

Values = NDArray[Any]
Greys = NDArray[np.uint8]
Curve = Callable[[Values], NDArray[np.float64]]


def shown(values: Values, window: Window) -> Greys:
    """Black below the window, white above it, and straight in between; NaN is black."""
    low = window.center - window.width / 2
    return by_blocks(values, lambda block: (block.astype(np.float64) - low) * (255.0 / window.width))


def by_blocks(values: Values, curve: Curve) -> Greys:
    """Apply a curve to greys from 0 to 255 to all values, clipped and rounded; NaN is black."""
    flat, greys = values.ravel(), np.empty(values.size, dtype=np.uint8)
    for start in range(0, flat.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        greys[block] = np.rint(np.nan_to_num(np.clip(curve(flat[block]), 0, 255)))
    return greys.reshape(values.shape)


def percentile_window(values: Values, rescale: Callable[[Values], Values] = lambda bounds: bounds) -> Window:
    """From the 0.5 to the 99.5 percentile of the finite values, or between their ends where these two are equal.

    `rescale` is applied to the two bounds; it must rise or fall.
    """
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if not values.size:
        return Window(0.5, 1.0)
    low = high = 0.0
    for percentiles in (PERCENTILES, (0, 100)):
        bounds = np.percentile(values, percentiles)
        if values.dtype.kind != "f":
            bounds = np.rint(bounds).astype(values.dtype)
        low, high = sorted(float(bound) for bound in rescale(bounds))
        if high > low:
            return Window((low + high) / 2, high - low)
    return Window(low + 0.5, 1.0)  # all the same: black


def no_such_frame(what: str, count: int, frame: int) -> ImageDecodeError:
    """The error for a frame that a file does not have."""
    has = "1 frame" if count == 1 else f"{count:,} frames"
    return ImageDecodeError(f"the {what} has {has}, counted from 0: there is no frame {frame:,}")
