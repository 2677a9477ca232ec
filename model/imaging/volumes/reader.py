"""Reader of volumes. A format's module says how a file becomes a `Volume`; only the requested slice is rendered."""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from model.imaging.frames import frame_index
from model.imaging.rendering import Rendering, Window
from model.imaging.volumes.slices import Volume, read_slice, slice_numbers
from model.imaging.windowing import apply_window, percentile_window


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

        Values are scaled as the header says. They are mapped to greys by the rendering's window, else by a window
        between the slice's own 0.5 and 99.5 percentile. RGB values are not changed. A compressed volume is inflated by
        the first call, and kept as long as this object.

        Raises:
            ImageDecodeError: the values are damaged or truncated, and as `check`.
            ImageTooLarge: the volume unpacks to more than `model.imaging.limits.MAX_VOLUME_BYTES`, and as `check`.
        """

        values = read_slice(self._volume, self._choose_slice(rendering), rendering)
        if self._volume.colour_axis is not None:
            return Image.fromarray(values)
        with np.errstate(over="ignore", invalid="ignore"):  # infinite values become black or white
            floats = _as_floats(values, self._volume, rendering.window)
            return Image.fromarray(apply_window(floats, rendering.window or percentile_window(floats)))

    def _choose_slice(self, rendering: Rendering) -> int:
        numbers = slice_numbers(self._volume, rendering, self._max_pixels)
        count = len(numbers)
        return numbers[frame_index(rendering.frame, count, default=count // 2, source=f"{self._kind} volume")]


def _as_floats(values: Any, volume: Volume, window: Window | None) -> Any:
    """Stored values to (H, W) float32 or float64, which keep all differences between them.

    Without a window, only these differences count. Then 64-bit integers are counted from the smallest one, because
    float64 has 53 bits, and floats whose differences may overflow are divided by 4.
    """
    intercept = 0.0 if window is None else volume.intercept
    if window is None and values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        values = values.astype(np.uint64) - values.min().astype(np.uint64)
    floats = values.astype(np.promote_types(values.dtype, np.float32))
    if (volume.slope, intercept) != (1, 0):
        floats = floats.astype(np.float64) * volume.slope + intercept
    largest = max(np.fmax.reduce(floats, axis=None), -np.fmin.reduce(floats, axis=None))
    return floats / 4 if window is None and largest > np.finfo(floats.dtype).max / 4 else floats
