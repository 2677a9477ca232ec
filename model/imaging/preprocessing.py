"""Pictures to the pixels of the image encoder, as the Azure endpoint and the reference implementation do it."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.imaging.limits import MAX_JPEG_QUALITY, MAX_STANDARDIZATION_SIZE
from model.imaging.rendering import AS_STORED, Axis, Contrast, Rendering, parse_window, window_value

# Increase it whenever the pixels of any image change: by decoding, windowing, standardisation or resizing. Embeddings
# that are kept on disk are then computed anew. `tests/model/imaging/preprocessing/test_version.py` fails until then.
PREPROCESSING_VERSION = 1
DEFAULT_SIZE = 512  # pixels
DEFAULT_JPEG_QUALITY = 75
SIZE_PARAM, QUALITY_PARAM = "image_standardization_image_size", "image_standardization_jpeg_compression_ratio"


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


@dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes the input of the image encoder.

    Args:
        standardization: the first step of the endpoint; None skips it. Default: a JPEG of 512x512 pixels, quality 75.
        rendering: which picture of the file, its window and its contrast. Default: the usual ones of the file.
    """

    standardization: Standardization | None = Standardization()
    rendering: Rendering = AS_STORED

    def params(self) -> dict[str, Any]:
        """The parameters of a request to the service that have this effect, under their names in the API."""
        standardization, rendering = self.standardization, self.rendering
        return {
            SIZE_PARAM: standardization.size if standardization else DEFAULT_SIZE,
            QUALITY_PARAM: standardization.jpeg_quality if standardization else 0,
            "frame": rendering.frame,
            "axis": rendering.axis,
            "dicom_window": None if rendering.window is None else window_value(rendering.window),
            "contrast": rendering.contrast,
        }

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "Preprocessing":
        """The preprocessing that `params` describe; what they lack has its default.

        Raises:
            ValueError: a value cannot be used; the message names the parameter.
        """
        given = cls().params() | dict(params)
        size, quality, frame, axis, window, contrast = (given[name] for name in cls().params())
        quality = 0 if quality is None else quality
        usable = {
            SIZE_PARAM: type(size) is int and 1 <= size <= MAX_STANDARDIZATION_SIZE,
            QUALITY_PARAM: type(quality) is int and 0 <= quality <= MAX_JPEG_QUALITY,
            "frame": frame is None or (type(frame) is int and frame >= 0),
            "axis": axis in get_args(Axis),
            "contrast": contrast in get_args(Contrast),
        }
        if wrong := next((name for name, is_usable in usable.items() if not is_usable), None):
            raise ValueError(f"the value of {wrong} cannot be used")
        try:
            rendering = Rendering(frame, axis, None if window is None else parse_window(window), contrast)
        except ValueError as error:
            raise ValueError(f"the value of dicom_window cannot be used: {error}") from None
        return cls(Standardization(size, quality) if quality else None, rendering)


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
