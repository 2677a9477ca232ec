"""JPEG files: what Pillow needs help with (ITU-T T.81)."""

import io
import struct

import numpy as np
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.limits import too_many_pixels
from model.imaging.raster.codestreams import jpeg_frame
from model.imaging.raster.deep_colours import deep_picture
from model.imaging.raster.imagecodecs_extra import EXTRA, has_imagecodecs

MAX_JPEG_SCANS = 100  # libtiff has the same limit; encoders write about a dozen scans, and each one visits all pixels
MAX_BYTES_BEFORE = 128  # that some devices write before a JPEG
START_OF_SCAN = b"\xff\xda"  # table B.1, as all markers here
_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_LOSSLESS = 0xC3
_PROGRESSIVE = 0xC2
_COEFFICIENTS = 64
_MOST_COMPONENTS = 4
# Taken for coefficients where a scan lacks some. Its first bits are ones, as libjpeg fills up with zeros.
_NOISE = bytes(range(250, 0, -1)) * 4
ENDS = (_END, _NOISE + _END)  # two ends whose pictures differ if something is missing before them


def from_start(data: bytes) -> bytes:
    """The file from the start of its JPEG; unchanged if it begins otherwise, or with more than `MAX_BYTES_BEFORE`."""
    start = data.find(_START, 0, MAX_BYTES_BEFORE + len(_START))
    return data[start:] if start > 0 else data


def is_deep(data: bytes) -> bool:
    """Whether a file is a JPEG that Pillow does not read: of more than 8 bits per sample, or lossless."""
    frame = jpeg_frame(data)
    return frame is not None and (frame[0] == _LOSSLESS or frame[1] > 8)


def check_header(data: bytes, max_pixels: int) -> None:
    """Check the header of a JPEG.

    Raises:
        ImageDecodeError: it lacks a frame header, or has too many scans or components.
        ImageFormatUnsupported: it `is_deep`, and the extra is not installed.
        ImageTooLarge: it has more than `max_pixels`.
    """
    frame = jpeg_frame(data)
    if frame is None:
        raise ImageDecodeError("the JPEG image is damaged or cut short: it lacks the header of its frame")
    if not 0 < frame[2] <= _MOST_COMPONENTS:
        raise ImageDecodeError(f"the JPEG image is damaged: it must have 1 to {_MOST_COMPONENTS} components")
    if frame[3][0] * frame[3][1] > max_pixels:
        raise too_many_pixels(max_pixels)
    if data.count(START_OF_SCAN) > MAX_JPEG_SCANS:
        raise ImageDecodeError(f"the JPEG image has more than {MAX_JPEG_SCANS} scans; save it again with fewer scans")
    if is_deep(data) and not has_imagecodecs():
        raise ImageFormatUnsupported(
            f"the image is a JPEG of more than 8 bits per sample, or lossless, which needs {EXTRA} on the server"
        )


def decode_deep(data: bytes) -> Image.Image:
    """Decode a JPEG that `is_deep`: grey is scaled to 8 bits, of colours the upper 8 bits remain."""
    import imagecodecs

    if not has_end(data):
        raise ImageDecodeError("the JPEG image is cut short: the end of its data is missing")
    frame = jpeg_frame(data)
    bits = frame[1] if frame else 8
    return deep_picture(imagecodecs.jpeg_decode(data, bitspersample=bits), bits)


def decode_without_end(data: bytes) -> Image.Image:
    """Decode a JPEG that lacks its end marker.

    libjpeg replaces missing data silently by grey. So the file is decoded twice, with nothing and with noise where more
    data could follow: a whole picture is the same in both. Of a progressive JPEG, all scans must be there.

    Raises:
        ImageDecodeError: the picture is not whole.
    """
    whole = data[:-1] if data.endswith(b"\xff") else data
    if has_all_scans(whole):
        plain, noisy = (Image.open(io.BytesIO(whole + end), formats=("JPEG",)) for end in ENDS)
        plain.load()
        if np.array_equal(np.asarray(plain), np.asarray(noisy)):
            return plain
    raise ImageDecodeError("the JPEG image is cut short: the end of its data is missing")


def has_end(data: bytes) -> bool:
    """Whether the last scan of a JPEG has an end marker. No scan contains these bytes otherwise (B.1.1.5)."""
    return data.find(_END, max(data.rfind(START_OF_SCAN), 0)) >= 0


def has_all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG bring all coefficients of all components, to the last bit (G.1.1.1)."""
    frame = jpeg_frame(data)
    if frame is None:
        return False
    missing: dict[int, set[int]] = {}
    place = data.find(START_OF_SCAN)
    while place >= 0:
        count = data[place + 4] if place + 4 < len(data) else 0
        header = data[place + 5 : place + 5 + 2 * count + 3]
        if len(header) < 2 * count + 3:
            return False
        first, last, precision = struct.unpack("3B", header[-3:])
        if frame[0] != _PROGRESSIVE:
            first, last, precision = 0, _COEFFICIENTS - 1, 0
        for component in header[: 2 * count : 2]:
            left = missing.setdefault(component, set(range(_COEFFICIENTS)))
            if not precision & 0x0F:
                left.difference_update(range(first, last + 1))
        place = data.find(START_OF_SCAN, place + 2)
    return len(missing) == frame[2] and not any(missing.values())
