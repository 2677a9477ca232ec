"""Reads image files of every accepted format: checks their headers, then decodes them.

Error messages say what is wrong with the file, but never include parts of its content.
"""

import importlib
import logging
import threading
from collections.abc import Callable
from traceback import walk_tb
from typing import TypeVar, cast

from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, InvalidInput, OutOfMemory
from model.imaging.contrast import change_contrast
from model.imaging.formats import ImageFile, Reader, recognise
from model.imaging.raster import reader as raster_reader
from model.imaging.rendering import AS_STORED, Rendering

logger = logging.getLogger("medimageinsight")

Value = TypeVar("Value")

# nibabel and pydicom import each other's modules in circles: of two threads that import at once, one may get a module
# that is not complete yet.
_IMPORTING = threading.Lock()


def open_image(data: bytes, *, max_pixels: int) -> ImageFile:
    """Read and check the header of a file; no pixel is decoded.

    The result has the methods `frame_count`, `check` and `decode`, which do what the functions of this module do.
    It reads the header, and inflates a compressed volume, only once. Use it to decode several frames.

    Args:
        data: the whole file.
        max_pixels: limit for one picture; at most `model.imaging.limits.MAX_PIXELS`.

    Raises:
        ImageDecodeError: the file is empty or is not an image.
        ImageFormatUnsupported: the file has a known format that is not accepted or whose extra is not installed, or is
            a DICOM file without a picture.
        ImageTooLarge: the header announces more than `max_pixels` in one picture or in one TIFF tile, or more than
            `model.imaging.limits.MAX_VOLUME_BYTES` in a compressed volume.
        OutOfMemory: there is too little memory.
    """
    return _GuardedFile(_guarded(lambda: _reader_of(data).open_file(data, max_pixels=max_pixels)))


def check(data: bytes, *, max_pixels: int, rendering: Rendering = AS_STORED) -> None:
    """Read an image's header; no pixel is decoded.

    Args:
        data: the whole file.
        max_pixels: as for `open_image`.
        rendering: which picture of the file, its window and contrast; default: the usual picture and own window.

    Raises:
        ImageDecodeError: the file lacks the requested frame, and as `open_image`.
        ImageFormatUnsupported, ImageTooLarge: as `open_image`.
    """
    open_image(data, max_pixels=max_pixels).check(rendering)


def frame_count(data: bytes, *, max_pixels: int, rendering: Rendering = AS_STORED) -> int:
    """The number of DICOM frames, TIFF pages, or slices across `rendering.axis`; 1 for other formats.

    Raises:
        ImageDecodeError, ImageFormatUnsupported, ImageTooLarge: as `open_image`.
    """
    return open_image(data, max_pixels=max_pixels).frame_count(rendering)


def decode(data: bytes, *, max_pixels: int, rendering: Rendering = AS_STORED) -> Image.Image:
    """Decode one picture of a file.

    Returns:
        An image of at most 8 bits per channel, as the `decode` of the format's reader describes it:
        `model.imaging.raster.reader`, `model.imaging.dicom.reader`, `model.imaging.volumes.reader`. Its contrast is
        that of the rendering, see `model.imaging.contrast`.

    Raises:
        ImageDecodeError: the pixel data is damaged or truncated, and as `check`.
        ImageFormatUnsupported, ImageTooLarge: as `check`.
    """
    return open_image(data, max_pixels=max_pixels).decode(rendering)


def _reader_of(data: bytes) -> Reader:
    known = recognise(data)
    if known is None:
        return raster_reader
    try:
        with _IMPORTING:
            return cast(Reader, importlib.import_module(known.reader))
    except ImportError as error:
        raise ImageFormatUnsupported(
            f"the image has the format {known.name}, which needs medimageinsight-server[{known.extra}] on the server"
        ) from error


class _GuardedFile:
    """An `ImageFile` that raises only the errors of `model.errors`."""

    def __init__(self, file: ImageFile) -> None:
        self._file = file

    @property
    def inflates(self) -> bool:
        return self._file.inflates

    def frame_count(self, rendering: Rendering) -> int:
        return _guarded(lambda: self._file.frame_count(rendering))

    def check(self, rendering: Rendering) -> None:
        _guarded(lambda: self._file.check(rendering))

    def decode(self, rendering: Rendering) -> Image.Image:
        return _guarded(lambda: change_contrast(self._file.decode(rendering), rendering.contrast))


def _guarded(function: Callable[[], Value]) -> Value:
    """Call a function of a reader. The readers name what they foresee; hostile bytes make libraries raise anything."""
    try:
        return function()
    except InvalidInput:
        raise
    except MemoryError as error:
        raise OutOfMemory("the image needs more memory than is free; send it again later") from error
    except Exception as error:
        logger.warning(
            "an image is refused because of an unforeseen %s in %s; please report this line, with the file if you may",
            type(error).__name__,
            _place(error),
        )
        raise ImageDecodeError("the image is damaged and cannot be read; send the file again") from error


def _place(error: Exception) -> str:
    """Module and line of this package in which an exception was raised. Its message may quote the image."""
    ours = [frame for frame in walk_tb(error.__traceback__) if frame[0].f_globals["__name__"].startswith("model.")]
    frame, line = ours[-1]
    return f"{frame.f_globals['__name__']}, line {line}"
