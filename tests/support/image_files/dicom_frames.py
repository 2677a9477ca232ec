"""Stored values of one frame of small DICOM files, as the reader of pixel data gives them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate

from model.imaging.dicom import frames
from model.imaging.dicom.header import read_header
from model.imaging.dicom.pixel_data.reader import Frame, PixelData
from tests.support.image_files.dicom import MAX_PIXELS, ct

GREY = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16)


def frame(values: Any, index: int = 0, **elements: Any) -> Frame:
    return frame_of(ct(values, **elements), index)


def frame_of(data: bytes, index: int = 0) -> Frame:
    header = read_header(data, MAX_PIXELS)
    reader = PixelData(
        header.file,
        header.element,
        header.image,
        frame_count=frames.count(header.dataset),
        extended_offsets=[],
        max_pixels=MAX_PIXELS,
    )
    return reader.frame(index)


def compressed(values: NDArray[Any], syntax: str, codestream: bytes | bytearray, **elements: Any) -> Frame:
    return frame(values, TransferSyntaxUID=syntax, PixelData=encapsulate([bytes(codestream)]), **elements)


def saved(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()
