"""Values of any range to the 256 greys of a screen. `model.imaging.dicom.windowing` has what only DICOM has."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.imaging.rendering import PercentileWindow, Window

USUAL_PERCENTILES = PercentileWindow()
"""Bounds of the window of files without one."""

_BLOCK_VALUES = 2**20  # values per block: limits the memory of the arithmetic, which is in float64

Values = NDArray[Any]
Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
Curve = Callable[[Values], NDArray[np.float64]]  # values to greys: 0 is black, 255 is white, others are clipped


def linear(window: Window) -> Curve:
    """The curve under which the window's lower bound is black (0) and its upper bound white (255).

    This is the VOI LUT function LINEAR_EXACT of DICOM (PS3.3 C.11.2.1.3.2).
    """
    low = window.center - window.width / 2
    return lambda values: (values.astype(np.float64) - low) * (255.0 / window.width)


def map_to_greys(values: Values, curve: Curve) -> Pixels:
    """Apply a curve to all values, clip its result to 0 to 255, and round it. NaN becomes black."""
    greys = np.empty(values.shape, dtype=np.uint8)
    for rows in blocks_of_rows(values):
        greys[rows] = np.rint(np.nan_to_num(np.clip(curve(values[rows]), 0, 255)))
    return greys


def blocks_of_rows(values: Values) -> Iterator[slice]:
    """The rows of (H, W, ...) values in blocks of about a million values."""
    step = max(1, _BLOCK_VALUES * len(values) // max(1, values.size))
    return (slice(start, start + step) for start in range(0, len(values), step))


def percentile_window(
    values: Values,
    rescale: Callable[[Values], Values] = lambda bounds: bounds,
    percentiles: PercentileWindow = USUAL_PERCENTILES,
) -> Window:
    """The window between two percentiles of the finite values.

    The percentiles of integers are rounded. Where they are equal, the window lies between the smallest and the largest
    value. Where all values are equal, it lies above them, so that they become black.

    Args:
        values: an array of any shape; NaN and infinite values do not count.
        rescale: applied to the two bounds; must be monotonic. Default: unchanged.
        percentiles: the two percentiles, of the values before `rescale`. Default: 0.5 and 99.5.
    """
    if values.dtype.kind == "f":
        return reordering_window(values[np.isfinite(values)], rescale, percentiles)
    kind = values.dtype
    return reordering_window(values.flatten(), lambda bounds: rescale(np.rint(bounds).astype(kind)), percentiles)


def reordering_window(values: Values, rescale: Callable[[Values], Values], percentiles: PercentileWindow) -> Window:
    """As `percentile_window`, without rounding or a copy: the values must be finite, and their order changes."""
    if not values.size:
        return Window(0.5, 1.0)
    low = high = 0.0
    for shares in ((percentiles.low, percentiles.high), (0, 100)):
        bounds = rescale(np.percentile(values, shares, overwrite_input=True))
        low, high = sorted(float(bound) for bound in bounds)
        if high > low:
            return Window((low + high) / 2, high - low)
    return Window(low + 0.5, 1.0)
