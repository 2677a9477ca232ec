"""Stored values of a DICOM frame to 8-bit greys or colours (PS3.3 C.7.6.3.1.2, C.11; PS3.4 N.2).

Monochrome: the values are mapped to greys by `model.imaging.dicom.windowing`, MONOCHROME1 is inverted, and padding is
black. The presentation LUT shape has no effect: the standard allows none that contradicts MONOCHROME1 or MONOCHROME2
(PS3.3 C.8.11.3.1.2). Palettes are applied, and RGB is unchanged.
"""

from typing import Any

import numpy as np

from model.imaging.dicom import elements
from model.imaging.dicom.lookup_tables.palettes import read_palette
from model.imaging.dicom.padding import padding_mask
from model.imaging.dicom.windowing import grey_curve
from model.imaging.rendering import AnyWindow
from model.imaging.windowing import Mask, Pixels, Values, map_to_greys


def render_frame(
    stored: Values, dataset: Any, window: AnyWindow | None, *, cells: Values | None = None, is_lossy: bool = False
) -> Pixels:
    """Render a frame, (H, W) or (H, W, 3), uint8.

    Args:
        stored: stored values or palette indices, (H, W); or RGB, (H, W, 3), uint8.
        dataset: the frame's header.
        window: replaces the file's own VOI LUT and window; in the units after rescaling, or percentiles.
        cells: the values with their unused bits, (H, W), if the file has some; padding may be outside the stored bits.
        is_lossy: whether compression may have changed the values, so that padding is only near its value.

    Raises:
        ImageDecodeError: a lookup table or palette is missing, incomplete or cannot be used.
    """
    if stored.ndim == 3:
        return stored
    if elements.text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        return read_palette(dataset, signed=stored.dtype.kind != "u")(stored)
    padding = padding_mask(stored, dataset, cells=cells, is_lossy=is_lossy)
    if _has_supplemental_palette(dataset):
        return _render_supplemental(stored, padding, dataset, window)
    return _render_monochrome(stored, padding, dataset, window)


def _render_monochrome(stored: Values, padding: Mask | None, dataset: Any, window: AnyWindow | None) -> Pixels:
    greys = map_to_greys(stored, grey_curve(stored, padding, dataset, window))
    if elements.text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        np.subtract(255, greys, out=greys)
    if padding is not None:
        greys[padding] = 0
    return greys


def _has_supplemental_palette(dataset: Any) -> bool:
    """Whether a palette shows the high values of a monochrome frame in colour (PS3.3 C.7.6.19, C.8.16.2.1.1.1)."""
    coloured = elements.text(dataset, "PixelPresentation") in ("COLOR", "MIXED")
    return coloured and not elements.is_empty(dataset, "RedPaletteColorLookupTableDescriptor")


def _render_supplemental(stored: Values, padding: Mask | None, dataset: Any, window: AnyWindow | None) -> Pixels:
    """Values from the palette's first one on in its colours, the others in grey."""
    palette = read_palette(dataset, signed=stored.dtype.kind != "u")
    coloured: Mask = stored >= palette.first
    not_grey = coloured if padding is None else coloured | padding
    greys = _render_monochrome(stored, None if not_grey.all() else not_grey, dataset, window)
    if padding is not None:
        greys[padding] = 0
    pixels: Pixels = np.where(coloured[..., np.newaxis], palette(stored), greys[..., np.newaxis])
    return pixels
