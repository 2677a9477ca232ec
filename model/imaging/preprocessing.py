"""Pictures to the pixels of the image encoder, as the Azure endpoint and the reference implementation do it."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Increase it whenever the pixels of any image change: by decoding, windowing, standardisation or resizing. Embeddings
# that are kept on disk are then computed anew. `tests/model/imaging/test_preprocessing_version.py` fails until then.
PREPROCESSING_VERSION = 1
DEFAULT_SIZE = 512  # pixels
DEFAULT_JPEG_QUALITY = 75


@dataclass(frozen=True)
class Standardization:
    """The first step of the Azure endpoint: every image becomes a small square JPEG.

    Args:
        size: width and height of the JPEG in pixels; default: 512.
        jpeg_quality: Pillow's JPEG quality, 1 to 95; default: 75.
    """

    size: int = DEFAULT_SIZE
    jpeg_quality: int = DEFAULT_JPEG_QUALITY

    def __call__(self, image: Image.Image) -> Image.Image:
        """Resize it in its own mode with Pillow's default filter, convert to RGB, and pass it through JPEG."""
        small = image.resize((self.size, self.size)).convert("RGB")
        stream = io.BytesIO()
        # An empty comment replaces the image's own: JPEG limits a comment to 64 KB, GIF and PNG do not.
        small.save(stream, format="JPEG", quality=self.jpeg_quality, comment=b"")
        return Image.open(stream, formats=("JPEG",))


def preprocess(
    image: Image.Image, image_size: tuple[int, int], standardization: Standardization | None
) -> NDArray[np.uint8]:
    """Convert a picture to the input of the image encoder.

    Args:
        image: a picture of any mode of at most 8 bits per channel.
        image_size: height and width of the result in pixels, from the model's config.
        standardization: the first step; None skips it ("plain").

    Returns:
        (height, width, 3) RGB, uint8, 0 to 255, by bicubic resizing. Mean and deviation are applied on the device.
    """
    if standardization is not None:
        image = standardization(image)
    height, width = image_size
    return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
