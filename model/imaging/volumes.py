"""Slices of volumes as they hang on a light box: anterior or superior up, the patient's right on the left.

A format's module says how a file becomes a `Volume`; of a large one only the slice is rendered.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import nibabel
import numpy as np
from PIL import Image

from model.errors import ImageDecodeError, ImageTooLarge, InvalidInput
from model.imaging.rendering import Rendering
from model.imaging.windowing import no_such_frame, percentile_window, shown

Value = TypeVar("Value")

MOST_BYTES = 256 * 2**20  # of a volume, uncompressed
# nibabel's directions are right, anterior, superior: a slice across one of them shows the other two, the first across.
_PLANES = {"sagittal": (0, (1, 2)), "coronal": (1, (0, 2)), "axial": (2, (0, 1))}
_AS_STORED = np.diag([-1.0, -1.0, 1.0, 1.0])  # to the left, posterior, superior: axial slices are not turned


@dataclass(frozen=True)
class Volume:
    """What a file's header says of a volume, and how its values are read."""

    shape: tuple[int, ...]  # of its three axes in space
    affine: Any  # 4 x 4, from indices to right, anterior and superior; None of a stack of pictures, which has no axes
    read: Callable[[tuple[Any, ...]], Any]  # the values at three indices or slices; RGB as a last axis, in uint8


class VolumeReader:
    """Reads files of one format, as `model.imaging.images` asks it to."""

    def __init__(self, kind: str, volume_of: Callable[[bytes], Volume]) -> None:
        self._kind, self._volume_of = kind, volume_of

    def frame_count(self, data: bytes, rendering: Rendering, *, max_pixels: int) -> int:
        """The number of slices across the rendering's axis.

        Raises:
            As `decode`.
        """
        return self._guarded(lambda: len(_slices(self._volume_of(data), rendering, max_pixels)))

    def check(self, data: bytes, rendering: Rendering, *, max_pixels: int) -> None:
        """Read the header; raises as `decode` for what stands there."""
        self._guarded(lambda: self._slice(self._volume_of(data), rendering, max_pixels))

    def decode(self, data: bytes, rendering: Rendering, *, max_pixels: int) -> Image.Image:
        """Decode one slice of a volume's first time point, by default the middle one, to an 8-bit "L" or "RGB" picture.

        Values, scaled as the header says, are shown in the rendering's window, else between their own 0.5 and 99.5
        percentile; colours are shown as they are.

        Raises:
            ImageDecodeError: damaged, not of the dimensions or numbers of a volume, or without the slice asked for.
            ImageFormatUnsupported: a variant of the format that is not read; names it.
            ImageTooLarge: a slice of more than `max_pixels`, or a volume of more than `MOST_BYTES`.
        """

        def render() -> Image.Image:
            volume = self._volume_of(data)
            values = _upright(volume, self._slice(volume, rendering, max_pixels), rendering)
            if values.ndim > 2:
                return Image.fromarray(values)
            return Image.fromarray(shown(values, rendering.window or percentile_window(values)))

        return self._guarded(render)

    def _guarded(self, function: Callable[[], Value]) -> Value:
        try:
            return function()
        except InvalidInput:
            raise
        except Exception as error:
            raise ImageDecodeError(f"the {self._kind} file is damaged or cut short") from error

    def _slice(self, volume: Volume, rendering: Rendering, max_pixels: int) -> int:
        slices = _slices(volume, rendering, max_pixels)
        if rendering.frame is not None and rendering.frame >= len(slices):
            raise no_such_frame(f"{self._kind} volume", len(slices), rendering.frame)
        return slices[len(slices) // 2 if rendering.frame is None else rendering.frame]


def volume_too_large() -> ImageTooLarge:
    """The error for a volume of more than `MOST_BYTES`."""
    return ImageTooLarge(f"the volume has more than {MOST_BYTES:,} bytes uncompressed; send one slice of it")


def _slices(volume: Volume, rendering: Rendering, max_pixels: int) -> range:
    """The slices' numbers from inferior, posterior or left on."""
    axis, _, flips = _orientation(volume, rendering)
    if math.prod(volume.shape) // volume.shape[axis] > max_pixels:
        raise ImageTooLarge(f"the image has more than the {max_pixels:,} pixels that are allowed; send it smaller")
    numbers = range(volume.shape[axis])
    return numbers[::-1] if flips[axis] < 0 else numbers


def _plane(volume: Volume, rendering: Rendering) -> tuple[int, tuple[int, int]]:
    return _PLANES["axial" if volume.affine is None else rendering.axis]


def _orientation(volume: Volume, rendering: Rendering) -> tuple[int, list[int], list[float]]:
    """The array's axis that the slice lies across, and each axis' direction, and whether it runs against it (-1)."""
    orientation = nibabel.io_orientation(_AS_STORED if volume.affine is None else volume.affine)
    directions = [int(direction) for direction in orientation[:, 0]]
    return directions.index(_plane(volume, rendering)[0]), directions, list(orientation[:, 1])


def _upright(volume: Volume, number: int, rendering: Rendering) -> Any:
    """One slice as rows from above, columns from the patient's right or from anterior."""
    axis, directions, flips = _orientation(volume, rendering)
    place: list[Any] = [slice(None)] * 3
    place[axis] = number
    values = volume.read(tuple(place))
    across, up = _plane(volume, rendering)[1]
    left = [one for one in range(3) if one != axis]
    columns, rows = (left.index(directions.index(direction)) for direction in (across, up))
    for place_of, direction in ((columns, across), (rows, up)):
        if flips[directions.index(direction)] > 0:
            values = np.flip(values, place_of)
    upright = np.ascontiguousarray(np.moveaxis(values, (rows, columns), (0, 1)))
    with np.errstate(over="ignore"):
        return upright if upright.ndim > 2 else upright.astype(np.float32, copy=False)
