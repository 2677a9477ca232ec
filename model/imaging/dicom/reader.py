"""Reader of DICOM files: checks the header, decodes one frame.

Error messages contain nothing of a header except the names of its SOP class and transfer syntax.
"""

import logging
import warnings
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from PIL import Image
from pydicom import config
from pydicom.pixels import pixel_array

from model.errors import ImageDecodeError, InvalidInput
from model.imaging.dicom import frames
from model.imaging.dicom.codestream import check_codestream
from model.imaging.dicom.header import read_header
from model.imaging.dicom.pixels import render_frame
from model.imaging.rendering import Rendering

Value = TypeVar("Value")


def check(data: bytes, rendering: Rendering, *, max_pixels: int) -> None:
    """Read the header; no pixel is decoded.

    Raises:
        ImageDecodeError: the file is damaged or lacks the requested frame.
        ImageFormatUnsupported: the file contains no picture, or no installed decoder reads its transfer syntax.
        ImageTooLarge: a frame has more than `max_pixels`.
    """
    _guarded(lambda: frames.choose(read_header(data, max_pixels, with_pixels=False), rendering))


def frame_count(data: bytes, rendering: Rendering, *, max_pixels: int) -> int:  # noqa: ARG001 (same in all readers)
    """The number of frames that the header announces.

    Raises:
        ImageDecodeError, ImageFormatUnsupported, ImageTooLarge: as `check`.
    """
    return _guarded(lambda: frames.count(read_header(data, max_pixels, with_pixels=False)))


def decode(data: bytes, rendering: Rendering, *, max_pixels: int) -> Image.Image:
    """Decode one frame to an 8-bit picture, "L" or "RGB".

    `model.imaging.dicom.pixels` describes how stored values become greys or colours.

    Raises:
        ImageDecodeError: the pixel data is damaged or differs in size from the header, and as `check`.
        ImageFormatUnsupported, ImageTooLarge: as `check`.
    """

    def render() -> Image.Image:
        dataset = read_header(data, max_pixels, with_pixels=True)
        index = frames.choose(dataset, rendering)
        check_codestream(dataset, index, max_pixels)
        pixels = pixel_array(dataset, index=index)
        return Image.fromarray(render_frame(pixels, frames.merge_functional_groups(dataset, index), rendering.window))

    return _guarded(render)


def _guarded(function: Callable[[], Value]) -> Value:
    """Call a function on hostile bytes: pydicom and its decoders raise almost any exception there."""
    _silence_pydicom()
    try:
        return function()
    except InvalidInput:
        raise
    except Exception as error:
        raise ImageDecodeError("the DICOM file is damaged or cut short") from error


@cache
def _silence_pydicom() -> None:
    """Turn off the log and the warnings of pydicom, which quote the header."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    config.settings.reading_validation_mode = config.IGNORE
