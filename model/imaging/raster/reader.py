"""Reader of the formats that Pillow decodes. Decompression bombs are refused before any pixel is decoded."""

import io
import struct
import zlib

from PIL import Image, ImageOps

from model.errors import ImageDecodeError
from model.imaging.formats import unreadable
from model.imaging.frames import frame_index
from model.imaging.limits import too_many_pixels
from model.imaging.raster import tiff
from model.imaging.raster.depth import is_deep, scale_to_8_bits
from model.imaging.rendering import Rendering

PILLOW_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000")
MAX_JPEG_SCANS = 100  # libtiff has the same limit; encoders write about a dozen scans, and each one visits all pixels
_START_OF_SCAN = b"\xff\xda"  # ITU-T T.81, table B.1
# What Pillow's decoders raise for damaged files.
_DAMAGE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
)


def open_file(data: bytes, *, max_pixels: int) -> "RasterFile":
    """Read the header; no pixel is decoded.

    Raises:
        ImageDecodeError, ImageFormatUnsupported, ImageTooLarge: as `open_image`.
    """
    open_image(data, max_pixels=max_pixels)
    return RasterFile(data, max_pixels)


class RasterFile:
    """A `model.imaging.formats.ImageFile`: a file that Pillow reads."""

    def __init__(self, data: bytes, max_pixels: int) -> None:
        self._data, self._max_pixels = data, max_pixels

    def frame_count(self, rendering: Rendering) -> int:  # noqa: ARG002 (same in all readers)
        """The number of pages of a TIFF; 1 for other formats, where only the first frame is read."""
        return tiff.page_count(open_image(self._data, max_pixels=self._max_pixels))

    def check(self, rendering: Rendering) -> None:
        """Raise ImageDecodeError if the file lacks the requested page."""
        open_image(self._data, max_pixels=self._max_pixels, frame=rendering.frame or 0)

    def decode(self, rendering: Rendering) -> Image.Image:
        """Decode one page or the first frame, as stored: EXIF rotation is not applied.

        Returns:
            The image in its own mode if that has at most 8 bits per channel. Deeper greyscale becomes "L", scaled
            linearly from its own smallest to its own largest value.

        Raises:
            ImageDecodeError: the pixel data is damaged or truncated, or the page is missing.
            ImageTooLarge: the page has more pixels than the limit.
        """
        image = open_image(self._data, max_pixels=self._max_pixels, frame=rendering.frame or 0)
        try:
            image.load()
        except _DAMAGE_ERRORS as error:
            raise ImageDecodeError(f"the {image.format} image is damaged or cut short") from error
        if not is_deep(image):
            return image
        scaled = scale_to_8_bits(image)
        # Pillow inverts images whose zero is white only if they have 8 bits or fewer.
        return ImageOps.invert(scaled) if tiff.is_white_zero(image) else scaled


def open_image(data: bytes, *, max_pixels: int, frame: int = 0) -> Image.Image:
    """Read the header of an image in one of `PILLOW_FORMATS` and go to a page of a TIFF; no pixel is decoded.

    Args:
        data: the whole file.
        max_pixels: limit for the image and for one TIFF tile.
        frame: page of a TIFF, from 0; default 0.

    Raises:
        ImageDecodeError: the file is empty, is not an image, lacks the frame, or is a JPEG of more than
            `MAX_JPEG_SCANS` scans.
        ImageFormatUnsupported: the file has a known format that is not accepted.
        ImageTooLarge: the header announces more than `max_pixels`.
    """
    if not data:
        raise ImageDecodeError("the image is empty")
    try:
        image = Image.open(io.BytesIO(data), formats=PILLOW_FORMATS)
        if frame:
            image.seek(frame_index(frame, tiff.page_count(image), default=0, source=f"{image.format} image"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_many_pixels(max_pixels) from error
    except _DAMAGE_ERRORS as error:
        raise unreadable(data) from error
    if max(image.width * image.height, tiff.tile_pixels(image, data)) > max_pixels:
        raise too_many_pixels(max_pixels)
    if image.format in ("JPEG", "MPO") and data.count(_START_OF_SCAN) > MAX_JPEG_SCANS:
        raise ImageDecodeError(f"the JPEG image has more than {MAX_JPEG_SCANS} scans; save it again with fewer scans")
    return image
