"""Reader of DICOM files: checks the header, decodes one frame.

Error messages contain nothing of a header except the names of its SOP class and transfer syntax.
"""

import logging
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

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


def open_file(data: bytes, *, max_pixels: int) -> "DicomFile":
    """Read and check the header; no pixel is decoded.

    Raises:
        ImageDecodeError: the file is damaged.
        ImageFormatUnsupported: the file contains no picture, or no installed decoder reads its transfer syntax.
        ImageTooLarge: a frame has more than `max_pixels`.
    """
    return DicomFile(data, _guarded(lambda: read_header(data, max_pixels, with_pixels=False)), max_pixels)


class DicomFile:
    """A `model.imaging.formats.ImageFile`: a DICOM file whose header has been read."""

    def __init__(self, data: bytes, header: Any, max_pixels: int) -> None:
        self._data, self._header, self._max_pixels = data, header, max_pixels

    def frame_count(self, rendering: Rendering) -> int:  # noqa: ARG002 (same in all readers)
        """The number of frames that the header announces."""
        return _guarded(lambda: frames.count(self._header))

    def check(self, rendering: Rendering) -> None:
        """Raise ImageDecodeError if the file lacks the requested frame."""
        _guarded(lambda: frames.choose(self._header, rendering))

    def decode(self, rendering: Rendering) -> Image.Image:
        """Decode one frame to an 8-bit picture, "L" or "RGB".

        `model.imaging.dicom.pixels` describes how stored values become greys or colours.

        Raises:
            ImageDecodeError: the pixel data is damaged or differs in size from the header, or the frame is missing.
            ImageTooLarge: the compressed frame has more pixels than the limit.
        """

        def render() -> Image.Image:
            dataset = read_header(self._data, self._max_pixels, with_pixels=True)
            index = frames.choose(dataset, rendering)
            check_codestream(dataset, index, self._max_pixels)
            pixels = pixel_array(dataset, index=index)
            merged = frames.merge_functional_groups(dataset, index)
            return Image.fromarray(render_frame(pixels, merged, rendering.window))

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
