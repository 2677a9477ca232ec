"""Directions of a volume's axes, as headers give them: checked, and completed where a slice has no thickness."""

from collections.abc import Sequence
from typing import Any

import numpy as np

MIN_DETERMINANT = 1e-4  # of three unit vectors; below it, they lie in one plane as far as float32 can tell


def unit_directions(columns: Any, lengths: Sequence[int]) -> Any:
    """The directions of the three axes of a volume.

    Args:
        columns: (3, 3). Column n is the step in space from one index of axis n to the next.
        lengths: number of voxels along each axis. Where it is 1, the column may be zero, and becomes the normal of the
            other two.

    Returns:
        (3, 3) unit vectors in columns; None if the columns are not finite, or lie in one plane.
    """
    with np.errstate(invalid="ignore"):  # a signalling NaN
        columns = np.asarray(columns, dtype=np.float64)
    if not np.isfinite(columns).all():
        return None
    largest = np.abs(columns).max(axis=0)
    columns = columns / np.where(largest > 0, largest, 1)  # first, so that no square overflows or vanishes
    columns /= np.maximum(np.linalg.norm(columns, axis=0), 1)
    missing = [axis for axis in range(3) if not largest[axis]]
    if len(missing) == 1 and lengths[missing[0]] == 1:
        columns[:, missing[0]] = _normal(*np.delete(columns, missing[0], axis=1).T)
    return columns if abs(np.linalg.det(columns)) >= MIN_DETERMINANT else None


def _normal(first: Any, second: Any) -> Any:
    """The unit normal of two vectors, to the right, anterior or superior; zero if they are parallel."""
    normal = np.cross(first, second)
    length = np.linalg.norm(normal) * np.sign(normal[np.argmax(np.abs(normal))])
    return normal / length if abs(length) >= MIN_DETERMINANT else np.zeros(3)
