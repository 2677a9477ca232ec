"""Grey curves of DICOM: modality LUT or rescaling, then VOI LUT or window (PS3.3 C.11.1 and C.11.2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.imaging.dicom import elements
from model.imaging.dicom.lookup_tables.tables import LookupTable, read_table
from model.imaging.dicom.sequences import item
from model.imaging.rendering import AnyWindow, PercentileWindow, Window
from model.imaging.windowing import USUAL_PERCENTILES, Curve, Mask, Values, percentile_window

_STEEPEST = 50.0  # exponent beyond which a sigmoid is black or white; exp() overflows for much larger ones


def grey_curve(stored: Values, padding: Mask | None, dataset: Any, window: AnyWindow | None) -> Curve:
    """The function from stored values to greys, where 0 is black and 255 white.

    The first of these applies: `window` (LINEAR_EXACT), the file's first VOI LUT, the file's first window with its VOI
    LUT function, the window between the frame's usual percentiles. Elements that are empty or unreadable count as
    absent.

    Args:
        stored: the frame's stored values, (H, W).
        padding: where they are padding, (H, W), which does not count for the percentiles; None if nowhere.
        dataset: the frame's header.
        window: the user's window, or percentiles, in the units after rescaling; None takes the file's.

    Raises:
        ImageDecodeError: a lookup table cannot be used.
    """
    modality = _read_modality(stored, dataset)
    if window is None:
        # The sign of the first value mapped follows from the rescaled values (PS3.3 C.11.2.1.1).
        signed = modality.gives_negative(stored_range(stored, dataset))
        table = _first_table(dataset, "VOILUTSequence", signed=signed)
        if table is not None:
            scale = 255.0 / (2**table.highest_bits - 1)  # a table narrower than it declares would be nearly black
            return lambda values: table(modality(values)) * scale
    function = "LINEAR_EXACT"
    if window is None and (window := _file_window(dataset)) is not None:
        function = _voi_function(dataset)
    if not isinstance(window, Window):
        values = stored if padding is None else stored[~padding]
        window = modality.percentile_window(values, window or USUAL_PERCENTILES)
    windowed = _window_function(window, function)
    return lambda values: windowed(modality(values))


def stored_range(stored: Values, dataset: Any) -> Values:
    """The smallest and the largest value that the stored bits can have, in the type of the pixels (PS3.5 8.1.1)."""
    if stored.dtype.kind == "f":
        return np.array([np.finfo(stored.dtype).min, np.finfo(stored.dtype).max])
    allocated = 8 * stored.dtype.itemsize
    bits = int(elements.number(dataset, "BitsStored", allocated))
    unused = allocated - bits if 0 < bits < allocated else 0
    limits = np.iinfo(stored.dtype)
    return np.array([int(limits.min) >> unused, int(limits.max) >> unused], stored.dtype)


@dataclass(frozen=True)
class _Modality:
    """The modality LUT, or rescaling without one (PS3.3 C.11.1)."""

    table: LookupTable | None
    slope: float
    intercept: float

    @np.errstate(over="ignore", invalid="ignore")  # absurd slopes
    def __call__(self, values: Values) -> Values:
        if self.table is not None:
            return self.table(values).astype(np.float64)
        return values.astype(np.float64) * self.slope + self.intercept

    def percentile_window(self, stored: Values, percentiles: PercentileWindow) -> Window:
        """The window between two percentiles of the rescaled values."""
        if self.table is not None:  # which may change the order of the values
            return percentile_window(self.table(stored), percentiles=percentiles)
        return percentile_window(stored, self, percentiles.mirrored() if self.slope < 0 else percentiles)

    def gives_negative(self, bounds: Values) -> bool:
        """Whether a value between the bounds can become negative. The entries of a table are unsigned."""
        return self.table is None and bool(self(bounds).min() < 0)


def _read_modality(stored: Values, dataset: Any) -> _Modality:
    """The first modality LUT; otherwise slope and intercept.

    An absent slope is 1, an absent intercept 0. A slope of 0, which would make all values equal, is ignored together
    with the intercept, as in dcmtk.
    """
    table = _first_table(dataset, "ModalityLUTSequence", signed=stored.dtype.kind != "u")
    if table is not None:
        return _Modality(table, 1.0, 0.0)
    slope = elements.number(dataset, "RescaleSlope", 1.0)
    intercept = elements.number(dataset, "RescaleIntercept", 0.0)
    return _Modality(None, slope, intercept) if slope else _Modality(None, 1.0, 0.0)


def _first_table(dataset: Any, keyword: str, *, signed: bool) -> LookupTable | None:
    """The lookup table in the first item of a sequence; None if it has none."""
    first = item(dataset, keyword)
    return None if first is None else read_table(first, "LUTDescriptor", "LUTData", signed=signed)


def _voi_function(dataset: Any) -> str:
    """LINEAR, LINEAR_EXACT or SIGMOID (PS3.3 C.11.2.1.2 and C.11.2.1.3); an unknown one is LINEAR."""
    function = elements.text(dataset, "VOILUTFunction")
    return function if function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR"


def _file_window(dataset: Any) -> Window | None:
    """The file's first usable window; None if it has none. LINEAR needs a width of at least 1."""
    centers = elements.numbers_by_place(dataset, "WindowCenter")
    widths = elements.numbers_by_place(dataset, "WindowWidth")
    linear = _voi_function(dataset) == "LINEAR"
    for center, width in zip(centers, widths, strict=False):
        if center is not None and width is not None and (width >= 1 if linear else width > 0):
            return Window(center, width)
    return None


def _window_function(window: Window, function: str) -> Callable[[Values], NDArray[np.float64]]:
    """The function of a window, from rescaled values to greys, which may lie outside 0 to 255.

    LINEAR of width 1 is a threshold (PS3.3 C.11.2.1.2.1).
    """
    center, width = window.center, window.width

    def linear(values: Values) -> NDArray[np.float64]:
        if width == 1:
            return np.where(values > center - 0.5, 255.0, 0.0)
        return ((values - (center - 0.5)) / (width - 1) + 0.5) * 255.0

    def linear_exact(values: Values) -> NDArray[np.float64]:
        return ((values - center) / width + 0.5) * 255.0

    def sigmoid(values: Values) -> NDArray[np.float64]:
        exponents = np.clip(-4.0 * (values - center) / width, -_STEEPEST, _STEEPEST)
        return 255.0 / (1.0 + np.exp(exponents))

    quiet = np.errstate(over="ignore", invalid="ignore")  # absurd windows
    return quiet({"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}[function])
