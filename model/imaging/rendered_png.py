"""Pictures to PNG files that show what the image encoder gets."""

import io

from PIL import Image

from model.imaging.contrast import grey_or_rgb
from model.imaging.preprocessing import Standardization

# zlib's fastest level: level 6 takes up to four times as long, and makes the file less than a third smaller.
_COMPRESS_LEVEL = 1


def encode_png(picture: Image.Image, standardization: Standardization | None = None) -> bytes:
    """Encode what the image encoder gets of a picture before it is resized to the encoder's input.

    Args:
        picture: a picture of any mode of at most 8 bits per channel, as `model.imaging.formats.ImageFile` decodes it.
        standardization: the first step of the preprocessing, which is then applied; default None shows the picture
            before it.

    Returns:
        A PNG file of 8-bit grey or RGB without alpha, converted as the encoder's input is. The file holds no metadata.
    """
    shown = grey_or_rgb(picture if standardization is None else standardization(picture))
    shown.info = {}  # Pillow would write the colour profile and the transparent colour of the original
    stream = io.BytesIO()
    shown.save(stream, "PNG", compress_level=_COMPRESS_LEVEL)
    return stream.getvalue()
