"""What a user can choose: frame, axis, window and contrast. Plain data, without code that decodes."""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

Axis = Literal["axial", "coronal", "sagittal"]
Contrast = Literal["none", "equalize"]

MAX_WINDOW_CHARS = 100  # a longer string is not split: its parts could fill the memory
_PERCENTILE = r"p([0-9]{1,3}(?:\.[0-9]{1,3})?)"
PERCENTILES = f"^{_PERCENTILE}-{_PERCENTILE}$"
"""Regular expression of a window between two percentiles: p1-p99."""


@dataclass(frozen=True)
class Window:
    """The range of values that is mapped from black to white, in the units of the file after rescaling (HU for CT).

    Args:
        center: the middle of the range.
        width: upper minus lower bound of the range; greater than 0.
    """

    center: float
    width: float


@dataclass(frozen=True)
class PercentileWindow:
    """The range between two percentiles of the picture's values, whatever window the file has.

    Args:
        low: percentile that becomes black, 0 to 100.
        high: percentile that becomes white, greater than `low`, at most 100.
    """

    low: float = 0.5
    high: float = 99.5

    def mirrored(self) -> "PercentileWindow":
        """The percentiles with the same bounds if the order of the values is reversed, as by a negative slope."""
        return PercentileWindow(100 - self.high, 100 - self.low)


WINDOWS = {
    "abdomen": Window(50.0, 400.0),
    "bone": Window(400.0, 1800.0),
    "brain": Window(40.0, 80.0),
    "liver": Window(30.0, 150.0),
    "lung": Window(-600.0, 1500.0),
    "mediastinum": Window(50.0, 350.0),
    "spine": Window(50.0, 250.0),
    "stroke": Window(40.0, 40.0),
    "subdural": Window(75.0, 215.0),
    "temporal_bone": Window(600.0, 2800.0),
}
"""Usual CT windows by name, in HU; source: Radiopaedia, "Windowing (CT)"."""


AnyWindow = Window | PercentileWindow


@dataclass(frozen=True)
class Rendering:
    """Which picture of a file is decoded, and how its values become greys.

    Args:
        frame: DICOM frame, TIFF page or slice of a volume, counted from 0. None, the default, takes the usual one: the
            middle of a volume, otherwise the first.
        axis: plane of the slices of a NIfTI or NRRD volume; default: axial.
        window: window for DICOM, NIfTI and NRRD. None, the default, takes the window of the DICOM file, or else the
            range between the usual percentiles.
        contrast: what is done with the 8-bit picture: none, the default, or equalize, a histogram equalisation.
    """

    frame: int | None = None
    axis: Axis = "axial"
    window: AnyWindow | None = None
    contrast: Contrast = "none"


AS_STORED = Rendering()
"""The default: the usual frame, axial slices, the window of the file."""


def parse_window(value: Any) -> AnyWindow:
    """A window from its name, from "center,width", from two numbers, or from percentiles such as "p1-p99".

    Raises:
        ValueError: the message says what a window looks like, and does not repeat the value.
    """
    if isinstance(value, str) and len(value) > MAX_WINDOW_CHARS:
        raise ValueError("the window must be a name, percentiles such as p1-p99, or [center, width]")
    if isinstance(value, str) and "," not in value:
        return _named_window(value)
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    try:
        center, width = (float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("the window must be a name, percentiles such as p1-p99, or [center, width]") from None
    if not (math.isfinite(center) and math.isfinite(width) and width > 0):
        raise ValueError("center and width must be finite, and width greater than 0")
    return Window(center, width)


def window_value(window: AnyWindow) -> str | list[float]:
    """The value that `parse_window` reads as this window."""
    if isinstance(window, PercentileWindow):
        return "percentile" if window == PercentileWindow() else f"p{window.low:g}-p{window.high:g}"
    return [window.center, window.width]


def _named_window(name: str) -> AnyWindow:
    if name in WINDOWS:
        return WINDOWS[name]
    if name == "percentile":
        return PercentileWindow()
    if found := re.fullmatch(PERCENTILES, name):
        low, high = float(found[1]), float(found[2])
        if low < high <= 100:
            return PercentileWindow(low, high)
        raise ValueError("the percentiles must rise, from 0 to 100, as in p1-p99")
    known = ", ".join((*WINDOWS, "percentile"))
    raise ValueError(f"the name of the window is unknown; known names are {known}, and percentiles such as p1-p99")
