"""Stored DICOM values to greys and colours from 0 to 255, by the standard's pipelines (PS3.3 C.11, PS3.4 N.2)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_rescale, apply_voi, apply_windowing

from model.imaging.rendering import Window
from model.imaging.windowing import Curve, Greys, by_blocks, percentile_window

Stored = NDArray[Any]


def shown(pixels: Stored, dataset: Any, window: Window | None) -> Greys:
    """A frame as a screen shows it, (H, W) or (H, W, 3) uint8.

    Args:
        pixels: a frame's stored values, (H, W) or (H, W, samples).
        dataset: the frame's header.
        window: in the values after rescaling, instead of the file's own.
    """
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip().upper()
    if photometric == "PALETTE COLOR":
        return _colour(apply_color_lut(pixels, dataset), bits=0)
    if pixels.ndim == 3:
        return _colour(pixels, bits=int(dataset.BitsStored))
    return _monochrome(pixels, dataset, window, inverted=photometric == "MONOCHROME1")


def _colour(pixels: Stored, bits: int) -> Greys:
    """Three 8-bit samples a pixel; a palette's entries (`bits` 0) have as many as their type."""
    bits = bits or 8 * pixels.dtype.itemsize
    rgb = pixels[..., :3]
    return np.ascontiguousarray(rgb >> (bits - 8) if bits > 8 else rgb).astype(np.uint8)


def _monochrome(stored: Stored, dataset: Any, window: Window | None, *, inverted: bool) -> Greys:
    padding = _padding(stored, dataset)
    greys = by_blocks(stored, _curve(stored, padding, dataset, window))
    if inverted:
        np.subtract(255, greys, out=greys)
    if padding is not None:
        greys[padding] = 0
    return greys


def _curve(stored: Stored, padding: NDArray[np.bool_] | None, dataset: Any, window: Window | None) -> Curve:
    """What makes greys from 0 to 255 of stored values."""

    def rescaled(values: Stored) -> Stored:
        rescaled_values: Stored = apply_rescale(values, dataset)
        return rescaled_values

    if window is None and (bits := _voi_lut_bits(dataset)):
        return lambda values: apply_voi(rescaled(values), dataset) * (255.0 / (2**bits - 1))
    function = "LINEAR_EXACT"
    if window is None and (window := _own_window(dataset)) is not None:
        function = _voi_function(dataset)
    if window is None:
        window = percentile_window(stored if padding is None else stored[~padding], rescaled)
    screen = Dataset()  # with the range to which the window is mapped: 0 to 255
    screen.PhotometricInterpretation, screen.BitsStored, screen.PixelRepresentation = "MONOCHROME2", 8, 0
    screen.WindowCenter, screen.WindowWidth, screen.VOILUTFunction = window.center, window.width, function
    return lambda values: apply_windowing(rescaled(values), screen)


def _voi_lut_bits(dataset: Any) -> int:
    """Bits of an entry of the first VOI LUT; 0 if there is no usable one."""
    items = dataset.get("VOILUTSequence")
    usable = items and "LUTData" in items[0] and "LUTDescriptor" in items[0]
    return int(items[0].LUTDescriptor[2]) if usable else 0


def _voi_function(dataset: Any) -> str:
    return str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()


def _own_window(dataset: Any) -> Window | None:
    """The file's first window, unless it is none."""
    values = [
        np.ravel(dataset[name].value) for name in ("WindowCenter", "WindowWidth") if dataset.get(name) is not None
    ]
    if len(values) < 2 or not all(part.size for part in values):
        return None
    center, width = (float(part[0]) for part in values)
    least = 1 if _voi_function(dataset) == "LINEAR" else 0
    return Window(center, width) if np.isfinite([center, width]).all() and width > least else None


def _padding(stored: Stored, dataset: Any) -> NDArray[np.bool_] | None:
    """Where the stored values are padding, by value or range (PS3.3 C.7.5.1.1.2); None if nothing is."""
    value = dataset.get("PixelPaddingValue")
    if value is None or stored.dtype.kind == "f":
        return None
    ends = [_as_stored(value, stored), _as_stored(dataset.get("PixelPaddingRangeLimit", value), stored)]
    padding: NDArray[np.bool_] = (stored >= min(ends)) & (stored <= max(ends))
    return padding if padding.any() and not padding.all() else None


def _as_stored(value: Any, stored: Stored) -> int:
    """A padding value in the pixels' own type: writers mix up signed and unsigned."""
    bits = 8 * stored.dtype.itemsize
    number: int = int(value) % 2**bits
    return number - 2**bits if stored.dtype.kind == "i" and number >= 2 ** (bits - 1) else number
