"""What a user can choose: frame, axis and window. Plain data, without code that decodes."""

from dataclasses import dataclass
from typing import Literal

Axis = Literal["axial", "coronal", "sagittal"]


@dataclass(frozen=True)
class Window:
    """The range of values that is mapped from black to white, in the units of the file after rescaling (HU for CT).

    Args:
        center: the middle of the range.
        width: upper minus lower bound of the range; greater than 0.
    """

    center: float
    width: float


WINDOWS = {
    "abdomen": Window(50, 400),
    "bone": Window(400, 1800),
    "brain": Window(40, 80),
    "liver": Window(30, 150),
    "lung": Window(-600, 1500),
    "mediastinum": Window(50, 350),
    "spine": Window(50, 250),
    "stroke": Window(40, 40),
    "subdural": Window(75, 215),
    "temporal_bone": Window(600, 2800),
}
"""Usual CT windows by name, in HU; source: Radiopaedia, "Windowing (CT)"."""


@dataclass(frozen=True)
class Rendering:
    """Which picture of a file is decoded, and how its values become greys.

    Args:
        frame: DICOM frame, TIFF page or slice of a volume, counted from 0. None, the default, takes the usual one: the
            middle of a volume, otherwise the first.
        axis: plane of the slices of a NIfTI or NRRD volume; default: axial.
        window: window for DICOM, NIfTI and NRRD. None, the default, takes the window of the DICOM file, or one from
            percentiles.
    """

    frame: int | None = None
    axis: Axis = "axial"
    window: Window | None = None


AS_STORED = Rendering()
"""The default: the usual frame, axial slices, the window of the file."""
