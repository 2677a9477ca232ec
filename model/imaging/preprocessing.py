"""A decoded image to the pixels that the image encoder expects, as the Azure endpoint and the reference do it."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DEFAULT_SIZE = 512  # pixels
DEFAULT_JPEG_QUALITY = 75


@dataclass(frozen=True)
class Standardization:
    """The endpoint's first step: every image becomes a small square JPEG, whatever it was."""

    size: int = DEFAULT_SIZE  # pixels along both sides
    jpeg_quality: int = DEFAULT_JPEG_QUALITY  # 1 to 95

    def __call__(self, image: Image.Image) -> Image.Image:
        """Resize in the image's own mode with Pillow's default filter, convert to RGB, and pass it through JPEG."""
        small = image.resize((self.size, self.size)).convert("RGB")
        stream = io.BytesIO()
        # Without the image's own comment, which JPEG limits to 64 KB and GIF and PNG do not.
        small.save(stream, format="JPEG", quality=self.jpeg_quality, comment=b"")
        return Image.open(stream, formats=("JPEG",))


def preprocess(
    image: Image.Image, image_size: tuple[int, int], standardization: Standardization | None
) -> NDArray[np.uint8]:
    """Make an image the encoder's input.

    Args:
        image: of any 8-bit mode.
        image_size: height and width in pixels, from the model's config.
        standardization: None goes straight to the resize ("plain").

    Returns:
        (height, width, 3) RGB, 0 to 255; `normalise` is left to the device.
    """
    if standardization is not None:
        image = standardization(image)
    height, width = image_size
    return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
