"""Slices of a volume across an anatomical plane, in the radiological display convention.

Anterior (axial slices) or superior (coronal, sagittal slices) is up. The patient's right is on the left; anterior is on
the left of a sagittal slice.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np

from model.imaging.limits import too_many_pixels
from model.imaging.rendering import Rendering

# Numbers of nibabel's directions: 0 right, 1 anterior, 2 superior. For each plane: the direction across its slices, and
# the two directions (columns, rows) in a slice.
_PLANES = {"sagittal": (0, (1, 2)), "coronal": (1, (0, 2)), "axial": (2, (0, 1))}
# Stands in for the affine of a stack: indices rise to the left, posterior and superior, so its slices are not turned.
_STACK_AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Volume:
    """The geometry of a volume, and a function that reads its values."""

    shape: tuple[int, ...]  # length of its three spatial axes
    affine: (
        Any  # (4, 4), from indices to right, anterior and superior; None for a stack of pictures without orientation
    )
    read: Callable[[tuple[Any, ...]], Any]  # takes three indices or slices; RGB values are uint8 with a last axis of 3


def slice_numbers(volume: Volume, rendering: Rendering, max_pixels: int) -> range:
    """The indices of the slices across `rendering.axis`, from inferior, posterior or left on.

    Raises:
        ImageTooLarge: one slice has more than `max_pixels`.
    """
    axis, _, signs = _orientation(volume, rendering)
    if math.prod(volume.shape) // volume.shape[axis] > max_pixels:
        raise too_many_pixels(max_pixels)
    numbers = range(volume.shape[axis])
    return numbers[::-1] if signs[axis] < 0 else numbers


def read_slice(volume: Volume, number: int, rendering: Rendering) -> Any:
    """Read a slice and turn it as the display convention says.

    Returns:
        (H, W) float32, or (H, W, 3) uint8 for RGB.
    """
    axis, directions, signs = _orientation(volume, rendering)
    place: list[Any] = [slice(None)] * 3
    place[axis] = number
    values = volume.read(tuple(place))
    across, up = _plane(volume, rendering)[1]
    remaining = [one for one in range(3) if one != axis]
    columns, rows = (remaining.index(directions.index(direction)) for direction in (across, up))
    for axis_in_slice, direction in ((columns, across), (rows, up)):
        if signs[directions.index(direction)] > 0:
            values = np.flip(values, axis_in_slice)
    upright = np.ascontiguousarray(np.moveaxis(values, (rows, columns), (0, 1)))
    with np.errstate(over="ignore"):
        return upright if upright.ndim > 2 else upright.astype(np.float32, copy=False)


def _plane(volume: Volume, rendering: Rendering) -> tuple[int, tuple[int, int]]:
    return _PLANES["axial" if volume.affine is None else rendering.axis]


def _orientation(volume: Volume, rendering: Rendering) -> tuple[int, list[int], list[float]]:
    """The array axis across the plane; the direction of each array axis; 1 if the axis runs along it, -1 against it."""
    orientation = nibabel.io_orientation(_STACK_AFFINE if volume.affine is None else volume.affine)
    directions = [int(direction) for direction in orientation[:, 0]]
    return directions.index(_plane(volume, rendering)[0]), directions, list(orientation[:, 1])
