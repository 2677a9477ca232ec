"""Reader of PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 and AVIF. Bombs are refused before any pixel is decoded."""

import io
from collections.abc import Callable

from PIL import Image, features

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.formats import ImageFile, raster_name, refused_name, unreadable
from model.imaging.limits import check_decoded_bytes, too_many_pixels
from model.imaging.raster import jpeg, jpeg_2000, png
from model.imaging.raster.damage import damage_of
from model.imaging.raster.depth import is_deep, scale_picture
from model.imaging.raster.quiet_libraries import silence_libraries
from model.imaging.raster.tiff.directory import read_layout
from model.imaging.raster.tiff.file import TiffFile
from model.imaging.rendering import Rendering

PILLOW_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "JPEG2000", "AVIF")
# Bytes per pixel: their libraries hold two canvases in RGBA. What Pillow holds of the other formats is at most 4.
_CANVAS_BYTES = {"WEBP": 8, "AVIF": 8}


def open_file(data: bytes, *, max_pixels: int) -> ImageFile:
    """Read the header; no pixel is decoded.

    Args:
        data: the whole file.
        max_pixels: limit for the image, for one page, and for one TIFF tile.

    Raises:
        ImageDecodeError: the file is empty, is not an image, or its header is damaged.
        ImageFormatUnsupported: the file has a known format or variant that is not read.
        ImageTooLarge: the header announces more than `max_pixels`.
    """
    if not data:
        raise ImageDecodeError("the image is empty")
    silence_libraries()
    if layout := read_layout(data):
        return TiffFile(data, layout, max_pixels)
    if raster_name(data) is None and refused_name(data) is None:
        data = jpeg.from_start(data)
    kind = raster_name(data)
    if kind == "JPEG":
        frame = jpeg.read_header(data, max_pixels)
        if jpeg.is_deep(frame):
            return PictureFile(kind, lambda: jpeg.decode_deep(data, frame), max_pixels)
    elif kind == "JPEG 2000":
        codestream = jpeg_2000.read_header(data, max_pixels)
        if not codestream.is_read_by_pillow:
            return PictureFile(kind, lambda: jpeg_2000.decode_deep(data, codestream), max_pixels)
        return PictureFile(kind, lambda: jpeg_2000.stretch(_load(data, max_pixels), codestream), max_pixels)
    elif kind == "PNG":
        data = png.pixel_chunks(data)
    _open(data, max_pixels)
    return PictureFile(kind or "AVIF", lambda: _load(data, max_pixels), max_pixels)


class PictureFile:
    """A `model.imaging.formats.ImageFile` of one picture, whose header has been checked.

    Args:
        kind: name of the format in error messages.
        load: decodes the picture.
        max_pixels: limit for the picture, for error messages.
    """

    inflates = False

    def __init__(self, kind: str, load: Callable[[], Image.Image], max_pixels: int) -> None:
        self._kind, self._load, self._max_pixels = kind, load, max_pixels

    def frame_count(self, rendering: Rendering) -> int:  # noqa: ARG002 (same in all readers)
        """1: of GIF, PNG, WebP, AVIF and MPO, only the first frame is read."""
        return 1

    def check(self, rendering: Rendering) -> None:
        """Raise ImageDecodeError if the rendering asks for a further frame."""
        if rendering.frame:
            raise ImageDecodeError(f"of a {self._kind} image, only frame 0 is read: choose it, or no frame")

    def decode(self, rendering: Rendering) -> Image.Image:
        """Decode the picture as stored: EXIF rotation is not applied.

        Returns:
            The image in its own mode if that has at most 8 bits per channel. Deeper greyscale becomes "L", scaled
            linearly from its own smallest to its own largest value.

        Raises:
            ImageDecodeError: the pixel data is damaged or truncated, or the frame is missing.
        """
        self.check(rendering)
        with damage_of(self._kind, self._max_pixels):
            image = self._load()
            return Image.fromarray(scale_picture(image)) if is_deep(image) else image


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Read the header with Pillow; no pixel is decoded."""
    if raster_name(data) == "AVIF" and not features.check("avif"):
        raise ImageFormatUnsupported("the image has the format AVIF, which the Pillow of this server does not read")
    try:
        with damage_of(raster_name(data) or "", max_pixels):
            image = Image.open(io.BytesIO(data), formats=PILLOW_FORMATS)
    except ImageDecodeError as error:
        raise unreadable(data) from error
    if image.width * image.height > max_pixels:
        raise too_many_pixels(max_pixels)
    check_decoded_bytes(_CANVAS_BYTES.get(image.format or "", 0) * image.width * image.height, max_pixels)
    return image


def _load(data: bytes, max_pixels: int) -> Image.Image:
    """Decode with Pillow."""
    image = _open(data, max_pixels)
    try:
        image.load()
    except OSError as error:
        if raster_name(data) == "JPEG" and "truncated" in str(error):
            return jpeg.decode_without_end(data)
        raise
    return image
