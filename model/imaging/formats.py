"""Recognition of a file's format by its first bytes.

Only formats with a reader of their own are recognised here. Pillow recognises the others in
`model.imaging.raster.reader`. A new format needs a module (`Reader`), a function that recognises its files, and one
line in `FORMATS`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.rendering import Rendering
from model.imaging.volumes.compression import GZIP, inflate_start

ACCEPTED = "DICOM, NIfTI, NRRD, PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 and AVIF"
# PS3.10, section 7.1: a DICOM file begins with 128 bytes of preamble and this prefix.
_DICOM_PREFIX_PLACE, _DICOM_PREFIX = slice(128, 132), b"DICM"
# A data set without preamble begins with an element of group 0002 or 0008, in either byte order.
_BARE_DICOM = re.compile(rb"(\x02\0[\0\x02\x10]\0|\x08\0[\0\x01\x05\x08\x12-\x18]\0|\0\x08\0[\0\x01\x05\x08\x12-\x18])")
# The NIfTI-1 header (348 bytes) ends with its magic; the NIfTI-2 header has its magic behind the first four bytes.
_NIFTI1_MAGIC_PLACE, _NIFTI2_MAGIC_PLACE = slice(344, 348), slice(4, 8)
_NIFTI1_MAGIC, _NIFTI2_MAGIC = (b"n+1\0", b"ni1\0"), (b"n+2\0", b"ni2\0")
_NIFTI_HEADER_BYTES = 348  # of NIfTI-1 and Analyze
# An Analyze header begins with its size, and has the number of dimensions at byte 40, in either byte order.
_ANALYZE = re.compile(rb"\x5c\x01\0\0.{36}[\x01-\x07]\0|\0\0\x01\x5c.{36}\0[\x01-\x07]", re.DOTALL)
# First bytes of the formats that Pillow and tifffile read: the name of a damaged file.
_RASTER = re.compile(
    rb"(?P<PNG>\x89PNG\r\n\x1a\n)|(?P<JPEG>\xff\xd8\xff)|(?P<TIFF>II[*+]\0|MM\0[*+])|(?P<BMP>BM)|(?P<GIF>GIF8)"
    rb"|(?P<WebP>RIFF.{4}WEBP)|(?P<JPEG_2000>\0\0\0\x0cjP  |\xff\x4f\xff\x51)|(?P<AVIF>.{4}ftyp(avif|avis))",
    re.DOTALL,
)
# Formats that users send and that are not accepted: first bytes, and the name.
_REFUSED = (
    (re.compile(rb"%PDF"), "PDF"),
    (re.compile(re.escape(GZIP.magic)), "gzip"),
    (re.compile(rb"PK\x03\x04"), "ZIP"),
    (re.compile(rb"\0\0\0\x0cJXL |\xff\x0a"), "JPEG XL"),
    (re.compile(rb"II\xbc"), "JPEG XR"),
    (re.compile(rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL), "HEIC (HEIF)"),
    (re.compile(rb".{4}ftypcrx ", re.DOTALL), "Canon raw"),
    # MP4 and QuickTime, AVI, Matroska and WebM, MPEG, Windows Media, Flash, Ogg
    (re.compile(rb".{4}(ftyp|moov|mdat|wide)|RIFF.{4}AVI |\x1a\x45\xdf\xa3|\0\0\1[\xba\xb3]", re.DOTALL), "video"),
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11|FLV\x01|OggS"), "video"),
)
# Possessive quantifiers: without them, many "<!---->" would be split into comments in exponentially many ways.
_SVG = re.compile(rb"\A\s*+(<\?xml[^>]*+>\s*+)?(<!--.*?-->\s*+)*+(<!DOCTYPE svg[^>]*+>\s*+)?<svg[\s>]", re.DOTALL)


class ImageFile(Protocol):
    """An image file whose header has been read and checked. Its methods may be called from several threads at once."""

    @property
    def inflates(self) -> bool:
        """Whether an inflated copy of the file, of up to `model.imaging.limits.MAX_VOLUME_BYTES`, is kept with it."""
        ...

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
    """Whether it is a NIfTI file, or the header of a NIfTI or Analyze pair of files, which the reader refuses."""
    head = data[:_NIFTI_HEADER_BYTES]
    if head.startswith(GZIP.magic):
        head = inflate_start(data, GZIP, _NIFTI_HEADER_BYTES)
    return (
        head[_NIFTI1_MAGIC_PLACE] in _NIFTI1_MAGIC
        or head[_NIFTI2_MAGIC_PLACE] in _NIFTI2_MAGIC
        or (len(head) == _NIFTI_HEADER_BYTES and _ANALYZE.match(head) is not None)
    )


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


def raster_name(data: bytes) -> str | None:
    """The name of the format that a PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 or AVIF file begins as."""
    found = _RASTER.match(data)
    return found and found.lastgroup and found.lastgroup.replace("_", " ")


def refused_name(data: bytes) -> str | None:
    """The name of a usual format that is not accepted; None for other files."""
    if _SVG.match(data[:4096]):
        return "SVG"
    return next((name for magic, name in _REFUSED if magic.match(data)), None)


def unreadable(data: bytes) -> ImageDecodeError | ImageFormatUnsupported:
    """The error for a file that no reader accepts; names the format if it is a usual one."""
    if name := raster_name(data):
        return ImageDecodeError(f"the {name} image is damaged or cut short: its header cannot be read")
    if name := refused_name(data):
        return not_accepted(name)
    return ImageDecodeError(f"the image cannot be read as any of {ACCEPTED}")


def not_accepted(name: str) -> ImageFormatUnsupported:
    """The error for a format that is not accepted."""
    return ImageFormatUnsupported(f"the image has the format {name}; accepted formats are {ACCEPTED}")
