"""Hostile bytes to an 8-bit picture: which formats are opened, how much of them, and what other depths become.

DICOM, NIfTI and NRRD have modules of their own, imported when the first such file comes.
"""

import binascii
import importlib
import io
import math
import re
import struct
import zlib
from typing import Literal, Protocol, cast

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.rendering import AS_STORED, Rendering
from model.imaging.windowing import no_such_frame

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000")
MOST_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs; above it Image.open itself complains
_FORMATS_IN_WORDS = "DICOM, NIfTI, NRRD, PNG, JPEG, TIFF, BMP, GIF, WebP and JPEG 2000"
# What people send that is not accepted, by the first bytes: (offset, bytes, name).
_KNOWN_OTHERS = (
    (0, b"%PDF", "PDF"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"PK\x03\x04", "ZIP"),
    (4, b"ftyp", "HEIF or video"),
)
# A data set without the file's preamble begins with one of these elements, in either order of bytes.
_BARE_DICOM = re.compile(rb"(\x02\0[\0\x02\x10]\0|\x08\0[\0\x01\x05\x08\x12-\x18]\0|\0\x08\0[\0\x01\x05\x08\x12-\x18])")
_GZIP = b"\x1f\x8b"
_NIFTI_MAGIC = (b"n+1\0", b"n+2\0")
_NIFTI_HEADER = 352  # bytes
# Possessive: "<!---->" a few dozen times would otherwise be split into comments in exponentially many ways.
_SVG = re.compile(rb"\A\s*+(<\?xml[^>]*+>\s*+)?(<!--.*?-->\s*+)*+(<!DOCTYPE svg[^>]*+>\s*+)?<svg[\s>]", re.DOTALL)
_DATA_URI = re.compile(r"\Adata:[^,;]*(;[^,;]*)*?;base64,", re.IGNORECASE)
_URL = re.compile(r"\A(https?|ftp|s3|file)://", re.IGNORECASE)
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_MOST_SCANS = 100  # of a JPEG, as in libtiff; encoders write a dozen, and each costs a walk over all pixels
_BLOCK = 2**20  # pixels
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF's tag and a value of it
_TILE_SIDES = (322, 323)  # TIFF's tags
_TIFF_INTEGER_BYTES = {3: 2, 8: 2, 4: 4, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}  # by TIFF's number for the type
# What Pillow's decoders raise on damaged files.
_DAMAGE = (
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


class _Reader(Protocol):
    """A module that reads a format of its own."""

    def check(self, data: bytes, rendering: Rendering, *, max_pixels: int) -> None: ...
    def frame_count(self, data: bytes, rendering: Rendering, *, max_pixels: int) -> int: ...
    def decode(self, data: bytes, rendering: Rendering, *, max_pixels: int) -> Image.Image: ...


def is_url(text: str) -> bool:
    """Whether an image is given by where it is, which `decode_base64` refuses: who serves it may fetch it before."""
    return _URL.match(text) is not None


def decode_base64(text: str) -> bytes:
    """The bytes behind base64, with or without line breaks or a `data:` prefix.

    Raises:
        ImageDecodeError: a URL, not base64 (a foreign character, or missing padding), or nothing behind it.
    """
    if is_url(text):
        raise ImageDecodeError("the image is a URL: fetching is off (an operator may set URL_ALLOWLIST); send base64")
    prefix = _DATA_URI.match(text[:200])
    encoded = text[prefix.end() :] if prefix else text
    try:
        data = binascii.a2b_base64(encoded.encode("ascii").translate(None, b"\r\n\t "), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ImageDecodeError("the image is not valid base64 (standard alphabet, padded with '=')") from error
    if not data:
        raise ImageDecodeError("the image is empty")
    return data


def check(data: bytes, *, max_pixels: int, rendering: Rendering = AS_STORED) -> None:
    """Read an image's header; no pixel is decoded.

    Raises:
        ImageDecodeError: empty, not an image, or without the frame that is asked for.
        ImageFormatUnsupported: a known format that is not read here, or a DICOM file without a picture.
        ImageTooLarge: the header announces more than `max_pixels`, which is at most `MOST_PIXELS`, in the image or
            in one tile of it.
    """
    if reader := _reader(data):
        reader.check(data, rendering, max_pixels=max_pixels)
    else:
        open_image(data, max_pixels=max_pixels, frame=rendering.frame or 0)


def frame_count(data: bytes, *, max_pixels: int, rendering: Rendering = AS_STORED) -> int:
    """The number of frames, pages, or slices across the rendering's axis; 1 of formats whose first alone is read.

    Raises:
        As `check`.
    """
    if reader := _reader(data):
        return reader.frame_count(data, rendering, max_pixels=max_pixels)
    return _pages(open_image(data, max_pixels=max_pixels))


def decode(data: bytes, *, max_pixels: int, rendering: Rendering = AS_STORED) -> Image.Image:
    """Decode one picture of a file, as it is stored (EXIF rotation is not applied).

    Returns:
        The image in its own mode if that has 8 bits or less a channel; deeper greyscale is scaled to "L" from its
        own smallest to its own largest value. For DICOM see `model.imaging.dicom.decode`, for NIfTI and NRRD
        `model.imaging.volumes.VolumeReader.decode`.

    Raises:
        As `check`, and ImageDecodeError for damaged or truncated pixel data.
    """
    if reader := _reader(data):
        return reader.decode(data, rendering, max_pixels=max_pixels)
    image = open_image(data, max_pixels=max_pixels, frame=rendering.frame or 0)
    try:
        image.load()
    except _DAMAGE as error:
        raise ImageDecodeError(f"the {image.format} image is damaged or cut short") from error
    if image.mode not in _DEEP_MODES:
        return image
    scaled = _scaled_to_8_bits(image)
    # Pillow undoes this photometric interpretation for 8 bits alone.
    return ImageOps.invert(scaled) if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO else scaled


def open_image(data: bytes, *, max_pixels: int, frame: int = 0) -> Image.Image:
    """Read the header of an image in one of `FORMATS`, and go to a page of a TIFF; no pixel is decoded yet.

    Raises:
        As `check`.
    """
    if not data:
        raise ImageDecodeError("the image is empty")
    too_large = ImageTooLarge(f"the image has more than the {max_pixels:,} pixels that are allowed; send it smaller")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if frame and (count := _pages(image)) <= frame:
            raise no_such_frame(f"{image.format} image", count, frame)
        if frame:
            image.seek(frame)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large from error
    except _DAMAGE as error:
        raise _not_an_image(data) from error
    if image.width * image.height > max_pixels or _tile_pixels(image, data) > max_pixels:
        raise too_large
    if image.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > _MOST_SCANS:
        raise ImageDecodeError(f"the JPEG image has more than {_MOST_SCANS} scans; save it anew")
    return image


def _is_dicom(data: bytes) -> bool:
    return data[128:132] == b"DICM" or _BARE_DICOM.match(data) is not None


def _is_nifti(data: bytes) -> bool:
    head = data[:_NIFTI_HEADER]
    if head[:2] == _GZIP:
        try:
            head = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, _NIFTI_HEADER)
        except zlib.error:
            return False
    return head[344:348] in _NIFTI_MAGIC or head[4:8] in _NIFTI_MAGIC


def _reader(data: bytes) -> _Reader | None:
    """The module that reads these bytes; None leaves them to Pillow."""
    kind = "DICOM" if _is_dicom(data) else "NIfTI" if _is_nifti(data) else "NRRD" if data[:4] == b"NRRD" else ""
    if not kind:
        return None
    try:
        return cast(_Reader, importlib.import_module(f"model.imaging.{kind.lower()}"))
    except ImportError as error:
        extra = f"medimageinsight-server[{kind.lower()}]"
        raise ImageFormatUnsupported(f"the image is {kind}, for which the server needs {extra}") from error


def _pages(image: Image.Image) -> int:
    """How many there are to choose from: of animations the first frame alone is read."""
    return int(getattr(image, "n_frames", 1)) if isinstance(image, TiffImageFile) else 1


def _tile_pixels(image: Image.Image, data: bytes) -> int:
    """Pixels in one tile of a TIFF, 0 without tiles: a tile is decoded whole, whatever the image shows of it.

    Read from the bytes, because Pillow drops a tag whose type only libtiff, which decodes, knows.
    """
    if not isinstance(image, TiffImageFile):
        return 0
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    is_big_tiff = 43 in data[2:4]
    word, count_bytes, entry_bytes = (8, 8, 20) if is_big_tiff else (4, 2, 12)

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], order)

    directory = image.tag_v2.offset or 0
    first = directory + count_bytes
    sides = dict.fromkeys(_TILE_SIDES, 0)
    for entry in range(first, min(first + number(directory, count_bytes) * entry_bytes, len(data)), entry_bytes):
        if (tag := number(entry, 2)) in sides:
            size = _TIFF_INTEGER_BYTES.get(number(entry + 2, 2), 0)
            value = entry + entry_bytes - word
            sides[tag] = max(sides[tag], number(number(value, word) if size > word else value, size))
    return math.prod(sides.values())


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float32)
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    if high <= low:
        return Image.new("L", image.size)
    flat = values.ravel()
    scaled = np.empty(flat.shape, dtype=np.uint8)
    for start in range(0, flat.size, _BLOCK):  # in float64, where no range overflows, and little of it at once
        block = flat[start : start + _BLOCK].astype(np.float64)
        block = np.where(np.isfinite(block), block, low)
        scaled[start : start + _BLOCK] = np.rint((block - low) * (255.0 / (high - low)))
    return Image.fromarray(scaled.reshape(values.shape))


def _not_an_image(data: bytes) -> ImageDecodeError | ImageFormatUnsupported:
    for offset, magic, name in _KNOWN_OTHERS:
        if data[offset : offset + len(magic)] == magic:
            return ImageFormatUnsupported(f"the image is {name}; accepted are {_FORMATS_IN_WORDS}")
    if _SVG.match(data[:4096]):
        return ImageFormatUnsupported(f"the image is SVG; accepted are {_FORMATS_IN_WORDS}")
    return ImageDecodeError(f"the image cannot be read as any of {_FORMATS_IN_WORDS}")
