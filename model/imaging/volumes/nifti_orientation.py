"""The directions of a NIfTI volume's axes: the first of sform, qform and pixdim that can be used."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from nibabel.quaternions import quat2mat

from model.imaging.volumes.orientation import unit_directions

# nifti1.h, method 1: a header without sform and qform says no orientation. As in nibabel and in Analyze, the first
# index then rises to the left, the second to anterior, the third to superior.
_WITHOUT_FORMS = np.diag([-1.0, 1.0, 1.0])
_SMALLEST_REAL_PART = 1e-7  # below it, the standard's library takes the rotation for one by 180 degrees


def directions_of(fields: Any, lengths: Sequence[int]) -> Any:
    """(3, 3), unit vectors to right, anterior and superior in columns.

    A form whose code is 0 does not count. Neither does one that is not finite, or has an axis without direction; a
    single slice needs no direction across it.

    Args:
        fields: the header as a record.
        lengths: number of voxels along the three axes.
    """
    if fields["sform_code"] > 0:
        directions = unit_directions([fields[name][:3] for name in ("srow_x", "srow_y", "srow_z")], lengths)
        if directions is not None:
            return directions
    rotation = _rotation(fields) if fields["qform_code"] > 0 else None
    return _WITHOUT_FORMS if rotation is None else rotation


def _rotation(fields: Any) -> Any:
    """The rotation of the qform (nifti1.h, method 2); None without a quaternion of finite numbers.

    The header has its last three parts. They are divided by their length if that is more than 1 by rounding.
    """
    parts = [float(fields[name]) for name in ("quatern_b", "quatern_c", "quatern_d")]
    length = math.hypot(*parts)
    if not math.isfinite(length):
        return None
    real_squared = 1 - length * length
    if real_squared < _SMALLEST_REAL_PART:
        quaternion = [0.0, *(part / length for part in parts)]
    else:
        quaternion = [math.sqrt(real_squared), *parts]
    rotation = quat2mat(quaternion)
    # pixdim[0], qfac: negative for axes of the left hand, otherwise 1.
    return rotation * np.array([1, 1, -1 if fields["pixdim"][0] < 0 else 1])
