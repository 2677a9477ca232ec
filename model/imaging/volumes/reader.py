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


class VolumeReader:
    """A `model.imaging.formats.Reader` for one format of volumes.

    Args:
        kind: name of the format in error messages.
        volume_of: reads the header of a file's bytes.
    """

    def __init__(self, kind: str, volume_of: Callable[[bytes], Volume]) -> None:
        self._kind, self._volume_of = kind, volume_of

    def check(self, data: bytes, rendering: Rendering, *, max_pixels: int) -> None:
        """Read the header.

        Raises:
            ImageDecodeError: the file is damaged, is not a volume of numbers, or lacks the requested slice.
            ImageFormatUnsupported: the file is a variant of the format that is not read.
            ImageTooLarge: a slice has more than `max_pixels`, or the volume more than
                `model.imaging.limits.MAX_VOLUME_BYTES`.
        """
        self._guarded(lambda: self._choose_slice(self._volume_of(data), rendering, max_pixels))

    def frame_count(self, data: bytes, rendering: Rendering, *, max_pixels: int) -> int:
        """The number of slices across `rendering.axis`.

        Raises:
            ImageDecodeError, ImageFormatUnsupported, ImageTooLarge: as `check`.
        """
        return self._guarded(lambda: len(slice_numbers(self._volume_of(data), rendering, max_pixels)))

    def decode(self, data: bytes, rendering: Rendering, *, max_pixels: int) -> Image.Image:
        """Decode one slice of the first time point to an 8-bit "L" or "RGB" picture; by default the middle slice.

        Values are scaled as the header says. They are mapped to greys by the rendering's window, else by a window
        between the slice's own 0.5 and 99.5 percentile. RGB values are not changed.

        Raises:
            ImageDecodeError: the values are damaged or truncated, and as `check`.
            ImageFormatUnsupported, ImageTooLarge: as `check`.
        """

        def render() -> Image.Image:
            volume = self._volume_of(data)
            values = read_slice(volume, self._choose_slice(volume, rendering, max_pixels), rendering)
            if values.ndim > 2:
                return Image.fromarray(values)
            return Image.fromarray(apply_window(values, rendering.window or percentile_window(values)))

        return self._guarded(render)

    def _choose_slice(self, volume: Volume, rendering: Rendering, max_pixels: int) -> int:
        numbers = slice_numbers(volume, rendering, max_pixels)
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
