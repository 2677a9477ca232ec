"""JPEG files: what Pillow needs help with (ITU-T T.81)."""

import io

from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.codestreams import jpeg
from model.imaging.formats import not_accepted
from model.imaging.limits import check_decoded_bytes, too_many_pixels
from model.imaging.raster.damage import are_equal
from model.imaging.raster.deep_colours import deep_picture
from model.imaging.raster.imagecodecs_extra import EXTRA, has_imagecodecs

MAX_BYTES_BEFORE = 128  # that some devices write before a JPEG
_START = b"\xff\xd8\xff"
_MOST_COMPONENTS = 4


def from_start(data: bytes) -> bytes:
    """The file from the start of its JPEG; unchanged if it begins otherwise, or with more than `MAX_BYTES_BEFORE`."""
    start = data.find(_START, 0, MAX_BYTES_BEFORE + len(_START))
    return data[start:] if start > 0 else data


def is_deep(frame: jpeg.FrameHeader) -> bool:
    """Whether Pillow does not read a JPEG: of more than 8 bits per sample, or lossless."""
    return frame.marker == jpeg.LOSSLESS or frame.bits > 8


def read_header(data: bytes, max_pixels: int) -> jpeg.FrameHeader:
    """Read and check the header of a JPEG.

    Raises:
        ImageDecodeError: it lacks a frame header, or has too many scans or components.
        ImageFormatUnsupported: it is JPEG-LS; or it `is_deep`, and has four colours or the extra is not installed.
        ImageTooLarge: it has more than `max_pixels`.
    """
    frame = jpeg.read_frame(data)
    if frame is None:
        raise ImageDecodeError("the JPEG image is damaged or cut short: it lacks the header of its frame")
    if frame.marker == jpeg.LS:
        raise not_accepted("JPEG-LS")
    if not 0 < len(frame.components) <= _MOST_COMPONENTS:
        raise ImageDecodeError(f"the JPEG image is damaged: it must have 1 to {_MOST_COMPONENTS} components")
    if frame.width * frame.height > max_pixels:
        raise too_many_pixels(max_pixels)
    deep_bytes = 2 * len(frame.components) * frame.width * frame.height if is_deep(frame) else 0
    check_decoded_bytes(max(deep_bytes, jpeg.coefficient_bytes(data, frame)), max_pixels)
    if jpeg.cost(data, frame) > 1:
        raise ImageDecodeError(
            f"the JPEG image has more than {jpeg.MAX_SCANS} scans, or too many for its size; save it again with fewer"
        )
    if is_deep(frame) and len(frame.components) == _MOST_COMPONENTS:  # CMYK or YCCK
        raise ImageFormatUnsupported(
            "the image is a JPEG of four colours and of more than 8 bits per sample, or lossless, which is not read"
        )
    if is_deep(frame) and not has_imagecodecs():
        raise ImageFormatUnsupported(
            f"the image is a JPEG of more than 8 bits per sample, or lossless, which needs {EXTRA} on the server"
        )
    return frame


def decode_deep(data: bytes, frame: jpeg.FrameHeader) -> Image.Image:
    """Decode a JPEG that `is_deep`: grey is scaled to 8 bits, of colours the upper 8 bits remain."""
    import imagecodecs

    if not jpeg.has_end(data):
        raise ImageDecodeError("the JPEG image is cut short: the end of its data is missing")
    return deep_picture(imagecodecs.jpeg_decode(data, bitspersample=frame.bits), frame.bits)


def decode_without_end(data: bytes) -> Image.Image:
    """Decode a JPEG that lacks its end marker.

    libjpeg replaces missing data silently by grey. So the file is decoded twice, with nothing and with noise where more
    data could follow: a whole picture is the same in both. Of a progressive JPEG, all scans must be there.

    Raises:
        ImageDecodeError: the picture is not whole.
    """
    whole = data[:-1] if data.endswith(b"\xff") else data
    if jpeg.has_all_scans(whole):
        plain, noisy = (Image.open(io.BytesIO(whole + end), formats=("JPEG",)) for end in jpeg.ENDS)
        plain.load()
        if are_equal(plain, noisy):
            return plain
    raise ImageDecodeError("the JPEG image is cut short: the end of its data is missing")
