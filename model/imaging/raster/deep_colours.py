"""Decoded samples of more than 8 bits to a picture of 8 bits, for formats that only have grey and RGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageDecodeError
from model.imaging.raster.depth import scale_to_8_bits, upper_8_bits

_GREY, _GREY_AND_ALPHA, _RGB, _RGBA = 1, 2, 3, 4


def deep_picture(values: NDArray[Any], bits: int) -> Image.Image:
    """Scale grey to 8 bits, and take the upper 8 bits of colours. Alpha is dropped.

    Args:
        values: (height, width) or (height, width, 1 to 4), integers; signed ones count from -2^(bits-1).
        bits: bits per sample.
    """
    pixels = values if values.ndim > 2 else values[..., None]
    if pixels.shape[-1] not in (_GREY, _GREY_AND_ALPHA, _RGB, _RGBA):
        raise ImageDecodeError("the image has more than four components per pixel")
    if pixels.shape[-1] <= _GREY_AND_ALPHA:
        grey = np.ascontiguousarray(pixels[..., 0])
        return Image.fromarray(upper_8_bits(grey, bits) if bits <= 8 else scale_to_8_bits(grey))
    colours = np.ascontiguousarray(pixels[..., :3])
    if colours.dtype.kind == "i":
        unsigned = colours.view(colours.dtype.str.replace("i", "u"))
        colours = unsigned + unsigned.dtype.type(2 ** (bits - 1))  # wraps around
    return Image.fromarray(upper_8_bits(colours, bits))
