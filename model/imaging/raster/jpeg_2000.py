"""JPEG 2000 files, alone or in a JP2 file: checked before OpenJPEG sees them (ITU-T T.800)."""

import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.codestreams.jpeg_2000 import MAX_TILES, Component, read_size
from model.imaging.limits import too_many_pixels
from model.imaging.raster.deep_colours import deep_picture
from model.imaging.raster.depth import upper_8_bits
from model.imaging.raster.embedded_sizes import boxes, jpeg_2000_codestream
from model.imaging.raster.imagecodecs_extra import EXTRA, has_imagecodecs

_SCALED_BY_PILLOW = 10  # bits of grey from which on Pillow keeps all of them
_DEEPEST = 16  # bits


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
        ImageDecodeError: the codestream is missing, or the box around it announces another size.
        ImageFormatUnsupported: samples of more than 16 bits, or deeper ones than Pillow reads without the extra.
        ImageTooLarge: it has more than `max_pixels`, or more than `MAX_TILES`.
    """
    size = read_size(jpeg_2000_codestream(data))
    if size is None:
        raise ImageDecodeError("the JPEG 2000 image is damaged or cut short: it lacks the header of its codestream")
    header = dict(reversed(list(boxes(data)))).get(b"jp2h", b"")
    start = header.find(b"ihdr")
    if start >= 0:
        height, width, count = struct.unpack_from(">IIH", header.ljust(start + 14), start + 4)
        if max(size.width * size.height, width * height) > max_pixels:
            raise too_many_pixels(max_pixels)
        if (width, height, count) != (size.width, size.height, len(size.components)):
            raise ImageDecodeError("the JPEG 2000 image is contradictory: its header box and its codestream differ")
    if size.width * size.height > max_pixels:
        raise too_many_pixels(max_pixels)
    if size.tiles > MAX_TILES:
        raise ImageTooLarge(f"the JPEG 2000 image has more than {MAX_TILES:,} tiles; save it again with larger tiles")
    codestream = Codestream(size.components, b"pclr" in header)
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
    depths = {component.bits for component in codestream.components}
    if (
        codestream.has_palette
        or image.mode not in ("L", "LA", "RGB", "RGBA")
        or len(depths) > 1
        or codestream.bits >= 8
    ):
        return image
    return Image.fromarray(upper_8_bits(np.asarray(image) >> (8 - codestream.bits), codestream.bits))
