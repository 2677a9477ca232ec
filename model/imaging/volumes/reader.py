"""Reader of volumes. A format's module says how a file becomes a `Volume`; only the requested slice is rendered."""

from collections.abc import Callable
from typing import TypeVar

from PIL import Image

from model.errors import ImageDecodeError, InvalidInput
from model.imaging.frames import frame_index
from model.imaging.rendering import Rendering
from model.imaging.volumes.slices import Volume, read_slice, slice_numbers
from model.imaging.windowing import apply_window, percentile_window

Value = TypeVar("Value")


class VolumeFile:
    """A `model.imaging.formats.ImageFile`: a volume of one format.

    Args:
        kind: name of the format in error messages.
        read_volume: reads the header and returns the volume.
        max_pixels: limit for one slice.

    Raises:
        ImageDecodeError: the file is damaged or is not a volume of numbers.
        ImageFormatUnsupported: the file is a variant of the format that is not read.
        ImageTooLarge: the volume has more than `model.imaging.limits.MAX_VOLUME_BYTES`.
    """

    def __init__(self, kind: str, read_volume: Callable[[], Volume], max_pixels: int) -> None:
        self._kind, self._max_pixels = kind, max_pixels
        self._volume = self._guarded(read_volume)

    def frame_count(self, rendering: Rendering) -> int:
        """The number of slices across `rendering.axis`.

        Raises:
            ImageTooLarge: a slice has more than `max_pixels`.
        """
        return self._guarded(lambda: len(slice_numbers(self._volume, rendering, self._max_pixels)))

    def check(self, rendering: Rendering) -> None:
        """Check the requested slice.

        Raises:
            ImageDecodeError: the file lacks the requested slice.
            ImageTooLarge: a slice has more than `max_pixels`.
        """
        self._guarded(lambda: self._choose_slice(rendering))

    def decode(self, rendering: Rendering) -> Image.Image:
        """Decode one slice of the first time point to an 8-bit "L" or "RGB" picture; by default the middle slice.

        Values are scaled as the header says. They are mapped to greys by the rendering's window, else by a window
        between the slice's own 0.5 and 99.5 percentile. RGB values are not changed.

        Raises:
            ImageDecodeError: the values are damaged or truncated, and as `check`.
            ImageTooLarge: as `check`.
        """

        def render() -> Image.Image:
            values = read_slice(self._volume, self._choose_slice(rendering), rendering)
            if values.ndim > 2:
                return Image.fromarray(values)
            return Image.fromarray(apply_window(values, rendering.window or percentile_window(values)))

        return self._guarded(render)

    def _choose_slice(self, rendering: Rendering) -> int:
        numbers = slice_numbers(self._volume, rendering, self._max_pixels)
        count = len(numbers)
        return numbers[frame_index(rendering.frame, count, default=count // 2, source=f"{self._kind} volume")]

    def _guarded(self, function: Callable[[], Value]) -> Value:
        """Call a function on hostile bytes: nibabel and pynrrd raise almost any exception there."""
        try:
            return function()
        except InvalidInput:
            raise
        except Exception as error:
            raise ImageDecodeError(f"the {self._kind} file is damaged or cut short") from error
