"""Facts of a TIFF file that Pillow does not give, or gives without a bound (TIFF 6.0; BigTIFF)."""

import math
from typing import Literal

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

_PHOTOMETRIC_TAG, _WHITE_IS_ZERO = 262, 0
_TILE_WIDTH_TAG, _TILE_LENGTH_TAG = 322, 323
_BIG_TIFF_VERSION = 43
_INTEGER_BYTES = {3: 2, 8: 2, 4: 4, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}  # size of an integer by its TIFF field type


def page_count(image: Image.Image) -> int:
    """The number of pages of a TIFF; 1 for other formats, where only the first frame is read."""
    return int(getattr(image, "n_frames", 1)) if isinstance(image, TiffImageFile) else 1


def is_white_zero(image: Image.Image) -> bool:
    """Whether the value 0 means white (PhotometricInterpretation WhiteIsZero)."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO


def tile_pixels(image: Image.Image, data: bytes) -> int:
    """The number of pixels in one tile; 0 for other formats and for a TIFF without tiles.

    libtiff decodes a tile whole, however little of it belongs to the image. The tags are read from the bytes of the
    file: Pillow drops a tag if it does not know its field type, but libtiff may know it.
    """
    if not isinstance(image, TiffImageFile):
        return 0
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    is_big_tiff = _BIG_TIFF_VERSION in data[2:4]
    word, count_bytes, entry_bytes = (8, 8, 20) if is_big_tiff else (4, 2, 12)

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], order)

    directory = image.tag_v2.offset or 0
    first = directory + count_bytes
    sides = {_TILE_WIDTH_TAG: 0, _TILE_LENGTH_TAG: 0}
    for entry in range(first, min(first + number(directory, count_bytes) * entry_bytes, len(data)), entry_bytes):
        if (tag := number(entry, 2)) in sides:
            size = _INTEGER_BYTES.get(number(entry + 2, 2), 0)
            value = entry + entry_bytes - word
            sides[tag] = max(sides[tag], number(number(value, word) if size > word else value, size))
    return math.prod(sides.values())
