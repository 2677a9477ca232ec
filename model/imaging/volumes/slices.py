"""Slices of a volume across an anatomical plane, in the radiological display convention.

Anterior (axial slices) or superior (coronal, sagittal slices) is up. The patient's right is on the left; anterior is on
the left of a sagittal slice.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import nibabel
import numpy as np

from model.imaging.limits import check_decoded_bytes, too_many_pixels
from model.imaging.rendering import Rendering
from model.imaging.volumes.stored_values import StoredValues

# Numbers of nibabel's directions: 0 right, 1 anterior, 2 superior. For each plane: the direction across its slices, and
# the two directions (columns, rows) in a slice.
_PLANES = {"sagittal": (0, (1, 2)), "coronal": (1, (0, 2)), "axial": (2, (0, 1))}
# Stands in for the directions of a stack without any: indices rise to the left, posterior and superior, so that its
# pictures are not turned.
_AS_STORED = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Volume:
    """The geometry of a volume, and its values.

    A volume with one voxel along exactly one axis is a picture: it has one slice, whatever axis the user asks for.
    """

    values: StoredValues
    axes: tuple[int, int, int]  # the stored axes in space; the index on others is 0
    directions: Any  # (3, 3), unit vectors to right, anterior and superior in columns; None shows pictures as stored
    colour_axis: int | None = None  # the stored axis of red, green, blue and perhaps alpha, in uint8
    slope: float = 1.0
    intercept: float = 0.0
    is_stack: bool = False  # True: the third axis counts pictures, and is not in space
    is_compressed: bool = False  # True: the values are inflated by the first read, and kept

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis in space."""
        first, second, third = (self.values.sizes[axis] for axis in self.axes)
        return first, second, third

    @cached_property
    def orientation(self) -> tuple[list[int], list[float]]:
        """The anatomical direction of each axis in space; 1 if the axis runs along it, -1 against it."""
        affine = np.eye(4)
        affine[:3, :3] = _AS_STORED if self.directions is None else self.directions
        orientation = nibabel.io_orientation(affine)
        return [int(direction) for direction in orientation[:, 0]], list(orientation[:, 1])


def slice_numbers(volume: Volume, rendering: Rendering, max_pixels: int) -> range:
    """The indices of the slices across `rendering.axis`, from inferior, posterior or left on; those of a stack rise.

    Raises:
        ImageTooLarge: one slice has more than `max_pixels`.
    """
    across, _ = _plane(volume, rendering)
    directions, signs = volume.orientation
    axis = directions.index(across)
    pixels = math.prod(volume.shape) // volume.shape[axis]
    if pixels > max_pixels:
        raise too_many_pixels(max_pixels)
    samples = 1 if volume.colour_axis is None else volume.values.sizes[volume.colour_axis]
    check_decoded_bytes(pixels * samples * volume.values.kind.itemsize, max_pixels)
    numbers = range(volume.shape[axis])
    return numbers[::-1] if signs[axis] < 0 and not volume.is_stack else numbers


def read_slice(volume: Volume, number: int, rendering: Rendering) -> Any:
    """Read a slice and turn it as the display convention says; no value is copied.

    Returns:
        (H, W) as stored, without slope and intercept, or (H, W, 3) uint8 for RGB.

    Raises:
        ImageDecodeError: the values are damaged or cut short.
    """
    across, (columns, rows) = _plane(volume, rendering)
    directions, signs = volume.orientation
    axes = [directions.index(direction) for direction in (rows, columns)]
    colours = [] if volume.colour_axis is None else [volume.colour_axis]
    stored = [volume.axes[axis] for axis in axes]
    values = volume.values.read([*stored, *colours], {volume.axes[directions.index(across)]: number})
    turned = tuple(place for place, axis in enumerate(axes) if signs[axis] > 0)
    return np.flip(values, turned)[..., *([slice(3)] if colours else [])]


def _plane(volume: Volume, rendering: Rendering) -> tuple[int, tuple[int, int]]:
    single = [axis for axis, length in enumerate(volume.shape) if length == 1]
    if not volume.is_stack and len(single) != 1:
        return _PLANES[rendering.axis]
    across = volume.orientation[0][2 if volume.is_stack else single[0]]
    return next(plane for plane in _PLANES.values() if plane[0] == across)
