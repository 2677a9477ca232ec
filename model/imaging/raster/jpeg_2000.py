"""JPEG 2000 files, alone or in a JP2 file: checked before OpenJPEG sees them (ITU-T T.800)."""

import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.limits import too_many_pixels
from model.imaging.raster.codestreams import boxes, jpeg_2000_components, jpeg_2000_size
from model.imaging.raster.deep_colours import deep_picture
from model.imaging.raster.depth import upper_8_bits
from model.imaging.raster.imagecodecs_extra import EXTRA, has_imagecodecs

MAX_TILES = 4096  # OpenJPEG reserves about 9 KB for each before it reads one
_JP2, _CODESTREAM = b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"
_SCALED_BY_PILLOW = 10  # bits of grey from which on Pillow keeps all of them
_DEEPEST = 16  # bits


@dataclass(frozen=True)
class Codestream:
    """What the header of a codestream says."""

    size: tuple[int, int]  # width and height in pixels
    components: list[tuple[int, bool]]  # bits per sample, and whether signed
    has_palette: bool

    @property
    def bits(self) -> int:
        """The bits of its deepest component."""
        return max(bits for bits, _ in self.components)

    @property
    def is_read_by_pillow(self) -> bool:
        """Whether Pillow reads it rightly. Of deeper colours and of 9 bits, it turns the brightest values to black."""
        return self.has_palette or self.bits <= 8 or (len(self.components) == 1 and self.bits >= _SCALED_BY_PILLOW)


def is_jpeg_2000(data: bytes) -> bool:
    """Whether the file begins as a JP2 file or a codestream does."""
    return data.startswith((_JP2, _CODESTREAM))


def read_header(data: bytes, max_pixels: int) -> Codestream:
    """Check the header of a file that `is_jpeg_2000`.

    Raises:
        ImageDecodeError: the codestream is missing, or the box around it announces another size.
        ImageFormatUnsupported: samples of more than 16 bits, or deeper ones than Pillow reads without the extra.
        ImageTooLarge: it has more than `max_pixels`, or more than `MAX_TILES`.
    """
    size, components = jpeg_2000_size(data), jpeg_2000_components(data)
    if size is None or not components or min(size) <= 0:
        raise ImageDecodeError("the JPEG 2000 image is damaged or cut short: it lacks the header of its codestream")
    header = dict(reversed(list(boxes(data)))).get(b"jp2h", b"")
    start = header.find(b"ihdr")
    if start >= 0:
        height, width, count = struct.unpack_from(">IIH", header.ljust(start + 14), start + 4)
        if max(size[0] * size[1], width * height) > max_pixels:
            raise too_many_pixels(max_pixels)
        if (width, height) != size or (count != len(components)):
            raise ImageDecodeError("the JPEG 2000 image is contradictory: its header box and its codestream differ")
    if size[0] * size[1] > max_pixels:
        raise too_many_pixels(max_pixels)
    if _tiles(data) > MAX_TILES:
        raise ImageTooLarge(f"the JPEG 2000 image has more than {MAX_TILES:,} tiles; save it again with larger tiles")
    codestream = Codestream(size, components, b"pclr" in header)
    if codestream.bits > _DEEPEST:
        raise ImageFormatUnsupported("the JPEG 2000 image has more than 16 bits per sample, which are not read")
    if not codestream.is_read_by_pillow and not has_imagecodecs():
        raise ImageFormatUnsupported(
            f"the JPEG 2000 image has colours of more than 8 bits or grey of 9 bits, which need {EXTRA} on the server"
        )
    return codestream


def decode_deep(data: bytes, codestream: Codestream) -> Image.Image:
    """Decode a file that Pillow does not read rightly."""
    import imagecodecs

    return deep_picture(imagecodecs.jpeg2k_decode(data, numthreads=1), codestream.bits)


def stretch(image: Image.Image, codestream: Codestream) -> Image.Image:
    """Stretch samples of fewer than 8 bits, which Pillow only shifts, to 0 to 255."""
    depths = {bits for bits, _ in codestream.components}
    if (
        codestream.has_palette
        or image.mode not in ("L", "LA", "RGB", "RGBA")
        or len(depths) > 1
        or codestream.bits >= 8
    ):
        return image
    return Image.fromarray(upper_8_bits(np.asarray(image) >> (8 - codestream.bits), codestream.bits))


def _tiles(data: bytes) -> int:
    """The number of tiles (A.5.1)."""
    codestream = next((body for kind, body in boxes(data) if kind == b"jp2c"), data)
    right, bottom, _, _, width, height, left, top = map(int, struct.unpack_from(">8I", codestream.ljust(40, b"\0"), 8))
    return -(-(right - left) // max(width, 1)) * -(-(bottom - top) // max(height, 1))
