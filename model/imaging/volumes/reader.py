"""Reader of volumes. A format's module says how a file becomes a `Volume`; only the requested slice is rendered."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from model.imaging.frames import frame_index
from model.imaging.rendering import AnyWindow, PercentileWindow, Rendering, Window
from model.imaging.volumes.slices import Volume, read_slice, slice_numbers
from model.imaging.windowing import USUAL_PERCENTILES, Curve, Values, linear, map_to_greys, reordering_window


class VolumeFile:
    """A `model.imaging.formats.ImageFile`: a volume of one format.

    Args:
        kind: name of the format in error messages.
        read_volume: reads the header and returns the volume, whose values are loaded later.
        max_pixels: limit for one slice.

    Raises:
        ImageDecodeError: the file is damaged or is not a volume of numbers.
        ImageFormatUnsupported: the file is a variant of the format that is not read.
        ImageTooLarge: the volume is compressed and has more than `model.imaging.limits.MAX_VOLUME_BYTES`.
    """

    def __init__(self, kind: str, read_volume: Callable[[], Volume], max_pixels: int) -> None:
        self._kind, self._max_pixels = kind, max_pixels
        self._volume = read_volume()
        self.inflates = self._volume.is_compressed

    def frame_count(self, rendering: Rendering) -> int:
        """The number of slices across `rendering.axis`.

        Raises:
            ImageTooLarge: a slice has more than `max_pixels`.
        """
        return len(slice_numbers(self._volume, rendering, self._max_pixels))

    def check(self, rendering: Rendering) -> None:
        """Check the requested slice.

        Raises:
            ImageDecodeError: the file lacks the requested slice.
            ImageTooLarge: a slice has more than `max_pixels`.
        """
        self._choose_slice(rendering)

    def decode(self, rendering: Rendering) -> Image.Image:
        """Decode one slice of the first time point to an 8-bit "L" or "RGB" picture; by default the middle slice.

        Values are scaled as the header says. They are mapped to greys by the rendering's window, else by the window
        between the slice's own 0.5 and 99.5 percentiles. RGB values are not changed. A compressed volume is inflated by
        the first call, and kept as long as this object.

        Raises:
            ImageDecodeError: the values are damaged or truncated, and as `check`.
            ImageTooLarge: the volume unpacks to more than `model.imaging.limits.MAX_VOLUME_BYTES`, and as `check`.
        """

        values = read_slice(self._volume, self._choose_slice(rendering), rendering)
        if self._volume.colour_axis is not None:
            return Image.fromarray(np.ascontiguousarray(values))
        with np.errstate(over="ignore", invalid="ignore"):  # infinite values become black or white
            return Image.fromarray(map_to_greys(values, _curve(values, self._volume, rendering.window)))

    def _choose_slice(self, rendering: Rendering) -> int:
        numbers = slice_numbers(self._volume, rendering, self._max_pixels)
        count = len(numbers)
        return numbers[frame_index(rendering.frame, count, default=count // 2, source=f"{self._kind} volume")]


def _curve(values: Values, volume: Volume, window: AnyWindow | None) -> Curve:
    """The function from stored values to greys, which is called for some values at a time."""
    if not isinstance(window, Window):
        return _percentile_curve(values, volume.slope, window or USUAL_PERCENTILES)
    greys = linear(window)
    return lambda block: greys(block.astype(np.float64) * volume.slope + volume.intercept)


def _percentile_curve(values: Values, slope: float, percentiles: PercentileWindow) -> Curve:
    """The curve of the window between two percentiles, for which only the sign of the slope counts.

    64-bit integers are counted from the smallest one, because float64 has 53 bits, and floats whose differences may
    overflow are divided by 4.
    """
    sign = math.copysign(1, slope)
    stored = percentiles if sign > 0 else percentiles.mirrored()

    def curve(counted: Values) -> Curve:
        return linear(reordering_window(counted.ravel("K"), lambda bounds: bounds * sign, stored))

    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        if max(finite.max(initial=0), -finite.min(initial=0)) <= np.finfo(finite.dtype).max / 4:
            greys = curve(finite)
            return lambda block: greys(block * sign)
        quarter = curve(np.divide(finite, 4, out=finite))
        return lambda block: quarter(block * (sign / 4))
    if values.dtype.itemsize < 8:
        greys = curve(values.flatten())
        return lambda block: greys(block.astype(np.float64) * sign)
    least = values.min().astype(np.uint64)
    counted = values.astype(np.uint64)
    counted -= least  # wraps around, so that signed differences are right
    greys = curve(counted)
    return lambda block: greys((block.astype(np.uint64) - least).astype(np.float64) * sign)
