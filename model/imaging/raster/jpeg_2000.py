"""JPEG 2000 files, alone or in a JP2 file: checked before OpenJPEG sees them (ITU-T T.800)."""

import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.codestreams.jpeg_2000 import LIMITS, Component, ImageSize, cost, lacks_tiles, read_size
from model.imaging.limits import check_decoded_bytes, too_many_pixels
from model.imaging.raster.deep_colours import deep_picture
from model.imaging.raster.depth import upper_8_bits
from model.imaging.raster.embedded_sizes import boxes, jpeg_2000_codestream
from model.imaging.raster.imagecodecs_extra import EXTRA, has_imagecodecs

_SCALED_BY_PILLOW = 10  # bits of grey from which on Pillow keeps all of them
_DEEPEST = 16  # bits
_MOST_COMPONENTS = 4
_ENUMERATED = b"\1"  # method of a colour specification box
_CMYK, _SRGB = 12, 16
# YCbCr, PhotoYCC, CMY, YCCK, CIELab, CIEJab, YPbPr and e-sYCC (ITU-T T.801, table M.25), which decoders take for RGB.
_OTHER_COLOURS = frozenset({1, 3, 4, 9, 11, 13, 14, 19, 22, 23, 24})


@dataclass(frozen=True)
class Codestream:
    """What the header of a codestream says."""

    components: tuple[Component, ...]
    has_palette: bool

    @property
    def bits(self) -> int:
        """The bits of its deepest component."""
        return max(component.bits for component in self.components)

    @property
    def is_read_by_pillow(self) -> bool:
        """Whether Pillow reads it rightly. Of deeper colours and of 9 bits, it turns the brightest values to black."""
        return self.has_palette or self.bits <= 8 or (len(self.components) == 1 and self.bits >= _SCALED_BY_PILLOW)


def read_header(data: bytes, max_pixels: int) -> Codestream:
    """Check the header of a JP2 file or a codestream.

    Raises:
        ImageDecodeError: the codestream is missing, or lacks tiles, or the box around it announces another size.
        ImageFormatUnsupported: samples of more than 16 bits, or deeper ones than Pillow reads without the extra; more
            than four components; colours that are not read.
        ImageTooLarge: it has more than `max_pixels`, or costs too much.
    """
    stream = jpeg_2000_codestream(data)
    size = read_size(stream)
    if size is None:
        raise ImageDecodeError("the JPEG 2000 image is damaged or cut short: it lacks the header of its codestream")
    header = dict(reversed(list(boxes(data)))).get(b"jp2h", b"")
    _check_size(size, header, max_pixels)
    check_decoded_bytes(size.decoded_bytes, max_pixels)
    if cost(stream) > 1:
        raise ImageTooLarge(
            f"the JPEG 2000 image has more than {LIMITS}; save it again with larger tiles and code blocks"
        )
    if lacks_tiles(stream):
        raise ImageDecodeError("the JPEG 2000 image is damaged: it lacks some of its tiles")
    codestream = Codestream(size.components, b"pclr" in header)
    _check_samples(codestream, _colour_space(header))
    return codestream


def _check_size(size: ImageSize, header: bytes, max_pixels: int) -> None:
    """Compare the codestream with the image header box (I.5.3.1), if there is one, and with the limit."""
    start = header.find(b"ihdr") + 4
    height, width, count = size.height, size.width, len(size.components)
    if start >= 4:
        height, width, count = struct.unpack_from(">IIH", header.ljust(start + 10), start)
    if max(size.width * size.height, width * height) > max_pixels:
        raise too_many_pixels(max_pixels)
    if (width, height, count) != (size.width, size.height, len(size.components)):
        raise ImageDecodeError("the JPEG 2000 image is contradictory: its header box and its codestream differ")


def _check_samples(codestream: Codestream, colour_space: int) -> None:
    if len(codestream.components) > _MOST_COMPONENTS:
        raise ImageFormatUnsupported("the JPEG 2000 image has more than four components, which are not read")
    if codestream.bits > _DEEPEST:
        raise ImageFormatUnsupported("the JPEG 2000 image has more than 16 bits per sample, which are not read")
    if colour_space in _OTHER_COLOURS or (colour_space == _CMYK and not codestream.is_read_by_pillow):
        raise ImageFormatUnsupported(
            "the JPEG 2000 image has colours that are not read: they must be grey, RGB, sYCC, or CMYK of 8 bits"
        )
    if not codestream.is_read_by_pillow and not has_imagecodecs():
        raise ImageFormatUnsupported(
            f"the JPEG 2000 image has colours of more than 8 bits or grey of 9 bits, which need {EXTRA} on the server"
        )


def _colour_space(header: bytes) -> int:
    """The number of the enumerated colour space (I.5.3.3); that of sRGB if the file has none."""
    start = header.find(b"colr") + 4
    if start < 4 or header[start : start + 1] != _ENUMERATED:
        return _SRGB
    return int.from_bytes(header[start + 3 : start + 7], "big")


def decode_deep(data: bytes, codestream: Codestream) -> Image.Image:
    """Decode a file that Pillow does not read rightly."""
    import imagecodecs

    return deep_picture(imagecodecs.jpeg2k_decode(data, numthreads=1), codestream.bits)


def stretch(image: Image.Image, codestream: Codestream) -> Image.Image:
    """Stretch samples of fewer than 8 bits, which Pillow only shifts, to 0 to 255."""
    depths = {component.bits for component in codestream.components}
    if (
        codestream.has_palette
        or image.mode not in ("L", "LA", "RGB", "RGBA")
        or len(depths) > 1
        or codestream.bits >= 8
    ):
        return image
    return Image.fromarray(upper_8_bits(np.asarray(image) >> (8 - codestream.bits), codestream.bits))
