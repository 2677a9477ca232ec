"""Samples as they were encoded to stored values: the bits that count, the sign, and RGB from YBR."""

import numpy as np
from pydicom.pixels import convert_color_space

from model.imaging.dicom.image_pixel import ImagePixel
from model.imaging.dicom.pixel_data.codestream import Codestream
from model.imaging.windowing import Pixels, Values, blocks_of_rows

# Luminance and colour differences of YBR_PARTIAL (PS3.3 C.7.6.3.1.2): lowest luminance, and the two ranges.
_PARTIAL_BLACK, _PARTIAL_LUMINANCES, _PARTIAL_DIFFERENCES, _NO_COLOUR = 16, 219, 224, 128
_LEVELS = np.arange(256)
_FULL_LUMINANCES = np.rint((_LEVELS - _PARTIAL_BLACK) * (255 / _PARTIAL_LUMINANCES)).clip(0, 255).astype(np.uint8)
_FULL_DIFFERENCES = (
    np.rint((_LEVELS - _NO_COLOUR) * (255 / _PARTIAL_DIFFERENCES) + _NO_COLOUR).clip(0, 255).astype(np.uint8)
)


def from_header(raw: Values, image: ImagePixel) -> Values:
    """Stored values of a native or run-length encoded frame, whose bits the header describes.

    Args:
        raw: (H, W) or (H, W, 3), all bits of the containers.
        image: the file's Image Pixel module.

    Returns:
        (H, W) unsigned, signed or floating point; or (H, W, 3) uint8, RGB.
    """
    if raw.dtype.kind == "f" or image.bits_allocated == 1:
        return raw
    is_signed = image.is_signed and image.samples == 1
    values = _select_bits(raw, image.bits_stored, image.lowest_bit, is_signed=is_signed)
    return values if image.samples == 1 else _to_rgb(values, image.bits_stored, image.is_ybr, image.is_partial)


def from_codestream(raw: Values, codestream: Codestream, image: ImagePixel) -> Values:
    """Stored values of a compressed frame, whose precision and colours its codestream says, as `from_header`."""
    bits = min(codestream.precision, image.bits_stored)
    lowest = image.lowest_bit if codestream.precision >= bits + image.lowest_bit else 0
    is_signed = (image.is_signed or codestream.is_signed) and image.samples == 1
    if codestream.is_lossy and codestream.is_signed == is_signed:
        # A lossy value may exceed the stored bits: without the limits, the brightest values would become the darkest.
        least = -(2 ** (bits - 1)) if is_signed else 0
        whole = _select_bits(raw, codestream.precision, 0, is_signed=is_signed)
        values = (whole >> lowest).clip(least, least + 2**bits - 1)
    else:
        values = _select_bits(raw, bits, lowest, is_signed=is_signed)
    if image.samples == 1:
        return values
    is_ybr = image.is_ybr if codestream.is_rgb is None else not codestream.is_rgb
    return _to_rgb(values, bits, is_ybr, is_partial=False)


def _select_bits(raw: Values, bits: int, lowest: int, *, is_signed: bool) -> Values:
    """The value of some bits of each container; unused bits may contain anything (PS3.5 8.1.1)."""
    container = 8 * raw.dtype.itemsize
    values = raw.view(raw.dtype.str.replace("u", "i")) if is_signed else raw
    if bits == container:
        return values
    return np.asarray((values << (container - bits - lowest)) >> (container - bits))


def _to_rgb(samples: Values, bits: int, is_ybr: bool, is_partial: bool) -> Pixels:
    """8-bit RGB from three samples of `bits` bits. Some rows at a time, as the arithmetic is in floating point."""
    if bits == 8 and samples.dtype == np.uint8 and not is_ybr:
        return samples
    pixels = np.empty(samples.shape, dtype=np.uint8)
    for rows in blocks_of_rows(samples):
        pixels[rows] = _rows_to_rgb(samples[rows], bits, is_ybr, is_partial)
    return pixels


def _rows_to_rgb(samples: Values, bits: int, is_ybr: bool, is_partial: bool) -> Pixels:
    if bits > 8:
        samples = samples >> (bits - 8)
    elif bits < 8:
        samples = (samples.astype(np.uint16) * 255 + 2 ** (bits - 1)) // (2**bits - 1)
    colours = samples.astype(np.uint8)
    if is_partial:
        full = np.empty_like(colours)
        full[..., 0] = _FULL_LUMINANCES[colours[..., 0]]
        full[..., 1:] = _FULL_DIFFERENCES[colours[..., 1:]]
        colours = full
    return np.asarray(convert_color_space(colours, "YBR_FULL", "RGB")) if is_ybr else colours
