"""Recognition of a file's format by its first bytes.

Only formats with a reader of their own are recognised here. Pillow recognises the others in
`model.imaging.raster.reader`. A new format needs a module (`Reader`), a function that recognises its files, and one
line in `FORMATS`.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.rendering import Rendering

ACCEPTED = "DICOM, NIfTI, NRRD, PNG, JPEG, TIFF, BMP, GIF, WebP and JPEG 2000"
_GZIP = b"\x1f\x8b"
# PS3.10, section 7.1: a DICOM file begins with 128 bytes of preamble and this prefix.
_DICOM_PREFIX_PLACE, _DICOM_PREFIX = slice(128, 132), b"DICM"
# A data set without preamble begins with an element of group 0002 or 0008, in either byte order.
_BARE_DICOM = re.compile(rb"(\x02\0[\0\x02\x10]\0|\x08\0[\0\x01\x05\x08\x12-\x18]\0|\0\x08\0[\0\x01\x05\x08\x12-\x18])")
# The NIfTI-1 header (348 bytes) ends with its magic; the NIfTI-2 header has its magic behind the first four bytes.
_NIFTI1_MAGIC_PLACE, _NIFTI2_MAGIC_PLACE = slice(344, 348), slice(4, 8)
_NIFTI_MAGIC = (b"n+1\0", b"n+2\0")
_NIFTI_HEADER_BYTES = 352  # of NIfTI-1, with the extension flags
# Formats that users send and that are not accepted: (offset, first bytes, name).
_REFUSED = (
    (0, b"%PDF", "PDF"),
    (0, _GZIP, "gzip"),
    (0, b"PK\x03\x04", "ZIP"),
    (4, b"ftyp", "HEIF or video"),
)
# Possessive quantifiers: without them, many "<!---->" would be split into comments in exponentially many ways.
_SVG = re.compile(rb"\A\s*+(<\?xml[^>]*+>\s*+)?(<!--.*?-->\s*+)*+(<!DOCTYPE svg[^>]*+>\s*+)?<svg[\s>]", re.DOTALL)


class ImageFile(Protocol):
    """An image file whose header has been read and checked. Its methods may be called from several threads at once."""

    def frame_count(self, rendering: Rendering) -> int: ...
    def check(self, rendering: Rendering) -> None: ...
    def decode(self, rendering: Rendering) -> Image.Image: ...


class Reader(Protocol):
    """A module that opens files of one format. `model.imaging.images` documents the functions."""

    def open_file(self, data: bytes, *, max_pixels: int) -> ImageFile: ...


@dataclass(frozen=True)
class Format:
    """A format with a reader of its own."""

    name: str  # as in error messages
    extra: str  # extra of medimageinsight-server that installs the packages of the reader
    reader: str  # name of the module that is a `Reader`
    recognises: Callable[[bytes], bool]


def _is_dicom(data: bytes) -> bool:
    return data[_DICOM_PREFIX_PLACE] == _DICOM_PREFIX or _BARE_DICOM.match(data) is not None


def _is_nifti(data: bytes) -> bool:
    head = data[:_NIFTI_HEADER_BYTES]
    if head.startswith(_GZIP):
        try:
            head = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, _NIFTI_HEADER_BYTES)
        except zlib.error:
            return False
    return head[_NIFTI1_MAGIC_PLACE] in _NIFTI_MAGIC or head[_NIFTI2_MAGIC_PLACE] in _NIFTI_MAGIC


def _is_nrrd(data: bytes) -> bool:
    return data.startswith(b"NRRD")


FORMATS = (
    Format("DICOM", "dicom", "model.imaging.dicom.reader", _is_dicom),
    Format("NIfTI", "nifti", "model.imaging.volumes.nifti", _is_nifti),
    Format("NRRD", "nrrd", "model.imaging.volumes.nrrd", _is_nrrd),
)


def recognise(data: bytes) -> Format | None:
    """The first of `FORMATS` that recognises a file; None leaves the file to Pillow."""
    return next((known for known in FORMATS if known.recognises(data)), None)


def unreadable(data: bytes) -> ImageDecodeError | ImageFormatUnsupported:
    """The error for a file in no accepted format; names the format if it is a usual one."""
    names = [name for offset, magic, name in _REFUSED if data[offset : offset + len(magic)] == magic]
    if not names and _SVG.match(data[:4096]):
        names = ["SVG"]
    if names:
        return ImageFormatUnsupported(f"the image has the format {names[0]}; accepted formats are {ACCEPTED}")
    return ImageDecodeError(f"the image cannot be read as any of {ACCEPTED}")
