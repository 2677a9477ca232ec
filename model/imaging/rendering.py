"""What of a file with several pictures, or with more greys than a screen has, is shown: plain data."""

from dataclasses import dataclass
from typing import Literal

Axis = Literal["axial", "coronal", "sagittal"]


@dataclass(frozen=True)
class Window:
    """The values that are shown from black to white: in HU for CT, else in the units of the file after rescaling."""

    center: float
    width: float  # greater than 0


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
"""Usual windows of CT by name, in HU; after Radiopaedia's "Windowing (CT)"."""


@dataclass(frozen=True)
class Rendering:
    """How one picture is made of a file."""

    frame: int | None = None  # counted from 0; None takes the file's usual one
    axis: Axis = "axial"  # of a NIfTI or NRRD volume
    window: Window | None = None  # of DICOM, NIfTI and NRRD; None takes the file's own


AS_STORED = Rendering()
