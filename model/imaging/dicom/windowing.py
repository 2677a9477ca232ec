"""Grey curves of DICOM: modality LUT or rescaling, then VOI LUT or window (PS3.3 C.11.1 and C.11.2)."""

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_rescale, apply_voi, apply_windowing

from model.imaging.rendering import Window
from model.imaging.windowing import Curve, Mask, Values, percentile_window


def grey_curve(stored: Values, padding: Mask | None, dataset: Any, window: Window | None) -> Curve:
    """The function from stored values to greys, where 0 is black and 255 white.

    The first of these applies: `window` (LINEAR_EXACT), the file's first VOI LUT, the file's first window with its VOI
    LUT function, the window between the frame's percentiles.

    Args:
        stored: the frame's stored values, (H, W).
        padding: where they are padding, (H, W), which does not count for the percentiles; None if nowhere.
        dataset: the frame's header.
        window: the user's window, in the units after rescaling; None takes the file's.
    """

    def rescale(values: Values) -> Values:
        rescaled: Values = apply_rescale(values, dataset)
        return rescaled

    if window is None and (bits := _voi_lut_bits(dataset)):
        return lambda values: apply_voi(rescale(values), dataset) * (255.0 / (2**bits - 1))
    function = "LINEAR_EXACT"
    if window is None and (window := _file_window(dataset)) is not None:
        function = _voi_function(dataset)
    if window is None:
        window = percentile_window(stored if padding is None else stored[~padding], rescale)
    screen = Dataset()  # pydicom takes the output range, here 0 to 255, from the same data set as the window
    screen.PhotometricInterpretation, screen.BitsStored, screen.PixelRepresentation = "MONOCHROME2", 8, 0
    screen.WindowCenter, screen.WindowWidth, screen.VOILUTFunction = window.center, window.width, function
    return lambda values: apply_windowing(rescale(values), screen)


def _voi_lut_bits(dataset: Any) -> int:
    """Bits per entry of the file's first VOI LUT; 0 if it has no usable one."""
    items = dataset.get("VOILUTSequence")
    usable = items and "LUTData" in items[0] and "LUTDescriptor" in items[0]
    return int(items[0].LUTDescriptor[2]) if usable else 0


def _voi_function(dataset: Any) -> str:
    """LINEAR, LINEAR_EXACT or SIGMOID (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    return str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()


def _file_window(dataset: Any) -> Window | None:
    """The file's first window; None if it is missing or has no usable width."""
    values = [
        np.ravel(dataset[name].value) for name in ("WindowCenter", "WindowWidth") if dataset.get(name) is not None
    ]
    if len(values) < 2 or not all(part.size for part in values):
        return None
    center, width = (float(part[0]) for part in values)
    narrowest = 1 if _voi_function(dataset) == "LINEAR" else 0  # LINEAR divides by width - 1
    return Window(center, width) if np.isfinite([center, width]).all() and width > narrowest else None
