"""Greyscale images of more than 8 bits per pixel to 8 bits."""

import numpy as np
from PIL import Image

_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_BLOCK_PIXELS = 2**20


def is_deep(image: Image.Image) -> bool:
    """Whether a Pillow image is greyscale of more than 8 bits per pixel."""
    return image.mode in _DEEP_MODES


def scale_to_8_bits(image: Image.Image) -> Image.Image:
    """Scale an image linearly from its smallest (0) and largest (255) finite value to mode "L".

    NaN and infinite values become 0. An image of only one value, or of no finite value, becomes black.
    """
    values = np.asarray(image, dtype=np.float32)
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    if high <= low:
        return Image.new("L", image.size)
    flat = values.ravel()
    scaled = np.empty(flat.shape, dtype=np.uint8)
    for start in range(0, flat.size, _BLOCK_PIXELS):  # float64: high - low may overflow float32; blocks: memory
        block = flat[start : start + _BLOCK_PIXELS].astype(np.float64)
        block = np.where(np.isfinite(block), block, low)
        scaled[start : start + _BLOCK_PIXELS] = np.rint((block - low) * (255.0 / (high - low)))
    return Image.fromarray(scaled.reshape(values.shape))
