"""Stored values of a DICOM frame to 8-bit greys or colours (PS3.3 C.7.6.3.1.2, C.11; PS3.4 N.2).

Monochrome: the values are mapped to greys by `model.imaging.dicom.windowing`, MONOCHROME1 is inverted, and padding is
black. Colour: palettes are applied, and samples of more than 8 bits lose their lowest bits. pydicom's `pixel_array` has
already converted YBR to RGB.
"""

from typing import Any

import numpy as np
from pydicom.pixels import apply_color_lut

from model.imaging.dicom.windowing import grey_curve
from model.imaging.rendering import Window
from model.imaging.windowing import Mask, Pixels, Values, map_to_greys


def render_frame(pixels: Values, dataset: Any, window: Window | None) -> Pixels:
    """Render a frame, (H, W) or (H, W, 3), uint8.

    Args:
        pixels: stored values, (H, W) or (H, W, samples); colours are RGB unless there is a palette.
        dataset: the frame's header.
        window: replaces the file's own VOI LUT and window; in the units after rescaling.
    """
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip().upper()
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(pixels, dataset)
        return _render_colour(colours, bits=8 * colours.dtype.itemsize)
    if pixels.ndim == 3:
        return _render_colour(pixels, bits=int(dataset.BitsStored))
    return _render_monochrome(pixels, dataset, window, inverted=photometric == "MONOCHROME1")


def _render_colour(pixels: Values, bits: int) -> Pixels:
    """The first three samples per pixel, reduced from `bits` to 8 bits."""
    rgb = pixels[..., :3]
    return np.ascontiguousarray(rgb >> (bits - 8) if bits > 8 else rgb).astype(np.uint8)


def _render_monochrome(stored: Values, dataset: Any, window: Window | None, *, inverted: bool) -> Pixels:
    padding = _padding_mask(stored, dataset)
    greys = map_to_greys(stored, grey_curve(stored, padding, dataset, window))
    if inverted:
        np.subtract(255, greys, out=greys)
    if padding is not None:
        greys[padding] = 0
    return greys


def _padding_mask(stored: Values, dataset: Any) -> Mask | None:
    """Where the stored values are padding, by value or range (PS3.3 C.7.5.1.1.2); None if no value or all are."""
    value = dataset.get("PixelPaddingValue")
    if value is None or stored.dtype.kind == "f":
        return None
    bounds = [_as_stored(value, stored), _as_stored(dataset.get("PixelPaddingRangeLimit", value), stored)]
    padding: Mask = (stored >= min(bounds)) & (stored <= max(bounds))
    return padding if padding.any() and not padding.all() else None


def _as_stored(value: Any, stored: Values) -> int:
    """A padding value in the type of the pixels: some writers confuse signed and unsigned."""
    bits = 8 * stored.dtype.itemsize
    number: int = int(value) % 2**bits
    return number - 2**bits if stored.dtype.kind == "i" and number >= 2 ** (bits - 1) else number
