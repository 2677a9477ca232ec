"""NIfTI volumes to an 8-bit slice as it hangs on a light box: anterior or superior up, the patient's right on the left.

nibabel reads; of a large volume only the slice is.
"""

import io
import math
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import nibabel
import numpy as np
from PIL import Image

from model.errors import ImageDecodeError, ImageTooLarge, InvalidInput
from model.rendering import Rendering
from model.windowing import no_such_frame, percentile_window, shown

Value = TypeVar("Value")

MOST_BYTES = 256 * 2**20  # of a volume, uncompressed
_GZIP = b"\x1f\x8b"
_NIFTI2 = b"n+2\0"
# nibabel's directions are right, anterior, superior: a slice across one of them shows the other two, the first across.
_PLANES = {"sagittal": (0, (1, 2)), "coronal": (1, (0, 2)), "axial": (2, (0, 1))}


def frame_count(data: bytes, rendering: Rendering, *, max_pixels: int) -> int:
    """The number of slices across the rendering's axis.

    Raises:
        As `decode`.
    """
    return _guarded(lambda: len(_slices(_volume(data), rendering, max_pixels)))


def check(data: bytes, rendering: Rendering, *, max_pixels: int) -> None:
    """Read the header; raises as `decode` for what stands there."""
    _guarded(lambda: _slice(_volume(data), rendering, max_pixels))


def decode(data: bytes, rendering: Rendering, *, max_pixels: int) -> Image.Image:
    """Decode one slice of a volume's first time point, by default the middle one, to an 8-bit "L" picture.

    Values, scaled as the header says, are shown in the rendering's window, else between their own 0.5 and 99.5
    percentile.

    Raises:
        ImageDecodeError: damaged, not of three or four dimensions, not of numbers, or without the slice asked for.
        ImageTooLarge: a slice of more than `max_pixels`, or a volume of more than `MOST_BYTES`.
    """

    def render() -> Image.Image:
        volume = _volume(data)
        values = _upright(volume, _slice(volume, rendering, max_pixels), rendering)
        return Image.fromarray(shown(values, rendering.window or percentile_window(values)))

    return _guarded(render)


def _guarded(function: Callable[[], Value]) -> Value:
    try:
        return function()
    except InvalidInput:
        raise
    except Exception as error:
        raise ImageDecodeError("the NIfTI file is damaged or cut short") from error


def _volume(data: bytes) -> Any:
    if data[:2] == _GZIP:
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        data = inflater.decompress(data, MOST_BYTES)
        if inflater.unconsumed_tail:
            raise ImageTooLarge(f"the volume has more than {MOST_BYTES:,} bytes uncompressed; send one slice of it")
        if not inflater.eof:
            raise ImageDecodeError("the NIfTI file is damaged or cut short")
    kind = nibabel.Nifti2Image if data[4:8] == _NIFTI2 else nibabel.Nifti1Image
    volume = kind.from_stream(io.BytesIO(data))
    if volume.ndim not in (3, 4) or volume.get_data_dtype().kind not in "iuf":
        raise ImageDecodeError("the NIfTI file is no volume of numbers in three dimensions, or four with time")
    if math.prod(volume.shape) < 1:
        raise ImageDecodeError("the NIfTI file has a volume without pixels")
    return volume


def _slice(volume: Any, rendering: Rendering, max_pixels: int) -> int:
    slices = _slices(volume, rendering, max_pixels)
    if rendering.frame is not None and rendering.frame >= len(slices):
        raise no_such_frame("NIfTI volume", len(slices), rendering.frame)
    return slices[len(slices) // 2 if rendering.frame is None else rendering.frame]


def _slices(volume: Any, rendering: Rendering, max_pixels: int) -> range:
    """The slices' numbers from inferior, posterior or left on."""
    axis, flips = _orientation(volume, rendering)
    if math.prod(volume.shape[:3]) // volume.shape[axis] > max_pixels:
        raise ImageTooLarge(f"the image has more than the {max_pixels:,} pixels that are allowed; send it smaller")
    numbers = range(volume.shape[axis])
    return numbers[::-1] if flips[axis] < 0 else numbers


def _orientation(volume: Any, rendering: Rendering) -> tuple[int, list[float]]:
    """The array's axis that the slice lies across, and for each axis whether it runs against its direction (-1)."""
    orientation = nibabel.io_orientation(volume.affine)
    direction = _PLANES[rendering.axis][0]
    return int(np.flatnonzero(orientation[:, 0] == direction)[0]), list(orientation[:, 1])


def _upright(volume: Any, number: int, rendering: Rendering) -> Any:
    """One slice as rows from above, columns from the patient's right or from anterior."""
    axis, flips = _orientation(volume, rendering)
    place: list[Any] = [slice(None)] * 3 + [0] * (volume.ndim - 3)
    place[axis] = number
    values = np.asarray(volume.dataobj[tuple(place)], dtype=np.float32)
    directions = [int(direction) for direction in nibabel.io_orientation(volume.affine)[:, 0]]
    across, up = _PLANES[rendering.axis][1]
    left = [one for one in range(3) if one != axis]
    columns, rows = (left.index(directions.index(direction)) for direction in (across, up))
    for place_of, direction in ((columns, across), (rows, up)):
        if flips[directions.index(direction)] > 0:
            values = np.flip(values, place_of)
    return np.ascontiguousarray(np.transpose(values, (rows, columns)))
