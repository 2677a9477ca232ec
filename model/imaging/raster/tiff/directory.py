"""Directories (IFDs) of a TIFF file, read without a library: bounded in pages, entries and bytes (TIFF 6.0; BigTIFF).

Only the tags that describe pixels are read. Descriptions, profiles, thumbnails and metadata of makers are never opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from model.errors import ImageDecodeError
from model.imaging.limits import MAX_TIFF_PAGES

IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES_PER_PIXEL, ROWS_PER_STRIP = 266, 273, 274, 277, 278
STRIP_BYTE_COUNTS, PLANAR_CONFIGURATION, T4_OPTIONS, T6_OPTIONS, PREDICTOR = 279, 284, 292, 293, 317
COLOR_MAP, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTE_COUNTS = 320, 322, 323, 324, 325
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 332, 338, 339, 347
# Old JPEG (section 22): the numbers 513 to 521 are places in the file, or numbers of its tables.
OLD_JPEG = (512, 513, 514, 515, 517, 518, 519, 520, 521)
YCBCR_COEFFICIENTS, YCBCR_SUBSAMPLING, YCBCR_POSITIONING, REFERENCE_BLACK_WHITE, IMAGE_DEPTH = 529, 530, 531, 532, 32997
NUMBERS = (
    *(IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION),
    *(SAMPLES_PER_PIXEL, ROWS_PER_STRIP, STRIP_BYTE_COUNTS, PLANAR_CONFIGURATION, T4_OPTIONS, T6_OPTIONS, PREDICTOR),
    *(COLOR_MAP, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTE_COUNTS, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT),
    *(*OLD_JPEG, YCBCR_SUBSAMPLING, YCBCR_POSITIONING, IMAGE_DEPTH),
)
BYTES = (JPEG_TABLES, YCBCR_COEFFICIENTS, REFERENCE_BLACK_WHITE)  # copied as they are: tables and rational numbers
MAX_ENTRIES = 4096  # of one directory; tifffile has the same limit
MAX_VALUES = 2**18  # of one tag; the palette of 16-bit indices has 196,608

_CLASSIC, _BIG = 42, 43
_INTEGER_TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_RATIONAL, _RATIONAL_BYTES = 5, 8
_LARGEST_BYTE, _BYTE_TO_SHORT = 255, 257  # 255 becomes 65,535
_WANTED = np.array(sorted((*NUMBERS, *BYTES)), dtype=np.uint16)


@dataclass(frozen=True)
class Layout:
    """What the header of a TIFF file says about all of its numbers."""

    order: Literal["<", ">"]
    is_big: bool
    first: int  # offset of the first directory

    @cached_property
    def count_type(self) -> np.dtype[np.unsignedinteger]:
        """The type of the number of entries of a directory."""
        return np.dtype(self.order + ("u8" if self.is_big else "u2"))

    @cached_property
    def word(self) -> np.dtype[np.unsignedinteger]:
        """The type of offsets."""
        return np.dtype(self.order + ("u8" if self.is_big else "u4"))

    @cached_property
    def entry(self) -> np.dtype[np.void]:
        """The type of one entry of a directory."""
        short = self.order + "u2"
        return np.dtype([("tag", short), ("type", short), ("count", self.word), ("value", f"V{self.word.itemsize}")])


@dataclass(frozen=True)
class Directory:
    """The tags of one page that describe its pixels."""

    numbers: Mapping[int, tuple[int, ...]]
    bytes_of: Mapping[int, tuple[int, bytes]]  # field type and value


def read_layout(data: bytes) -> Layout | None:
    """The header of a TIFF file; None for other files. The version may have the wrong byte order, as for Pillow."""
    order: Literal["<", ">"] = "<" if data[:2] == b"II" else ">"
    versions = {int.from_bytes(data[2:4], "little"), int.from_bytes(data[2:4], "big")}
    if data[:2] not in (b"II", b"MM") or not versions & {_CLASSIC, _BIG}:
        return None
    is_big = _BIG in versions
    layout = Layout(order, is_big, 0)
    return Layout(order, is_big, _number(data, 8 if is_big else 4, layout.word))


def page_offsets(data: bytes, layout: Layout) -> tuple[list[int], str]:
    """The places of the directories of all pages, and what is wrong with the list; "" if nothing.

    A list that returns to an earlier page ends there, as for Pillow and libtiff.

    Raises:
        ImageDecodeError: the file has more than `MAX_TIFF_PAGES`.
    """
    offsets: dict[int, None] = {}
    offset = layout.first
    while offset and offset not in offsets:
        entries = _number(data, offset, layout.count_type)
        link = offset + layout.count_type.itemsize + entries * layout.entry.itemsize
        if link > len(data):
            return list(offsets), "cut short: one of its pages lies outside the file"
        if not 0 < entries <= MAX_ENTRIES:
            return list(offsets), f"damaged: a page must have 1 to {MAX_ENTRIES:,} tags"
        offsets[offset] = None
        if len(offsets) > MAX_TIFF_PAGES:
            raise ImageDecodeError(f"the TIFF image has more than {MAX_TIFF_PAGES:,} pages; send fewer per file")
        offset = _number(data, link, layout.word)
    return list(offsets), "" if offsets else "damaged: it has no page"


def read_directory(data: bytes, layout: Layout, offset: int) -> Directory:
    """The tags of the page whose directory begins at `offset`, a result of `page_offsets`.

    Old writers give the colour map 8 bits instead of 16 (section 5): the result has 16.

    Raises:
        ImageDecodeError: a tag lies outside the file, has too many values, or is given twice with different values.
    """
    count = _number(data, offset, layout.count_type)
    entries = np.frombuffer(data, layout.entry, count, offset + layout.count_type.itemsize)
    numbers: dict[int, tuple[int, ...]] = {}
    bytes_of: dict[int, tuple[int, bytes]] = {}
    for place in np.flatnonzero(np.isin(entries["tag"], _WANTED)):
        entry = entries[place]
        tag, kind = int(entry["tag"]), int(entry["type"])
        if tag in BYTES:
            size = int(entry["count"]) * (_RATIONAL_BYTES if kind == _RATIONAL else 1)
            value = (kind, _value(data, entry, size, layout))
            is_same = bytes_of.setdefault(tag, value) == value
        else:
            values = _integers(data, entry, layout)
            is_same = numbers.setdefault(tag, values) == values
        if not is_same:
            raise ImageDecodeError(f"the TIFF image gives its tag {tag} twice, with different values")
    palette = numbers.get(COLOR_MAP, ())
    if palette and max(palette) <= _LARGEST_BYTE:
        numbers[COLOR_MAP] = tuple(_BYTE_TO_SHORT * level for level in palette)
    return Directory(numbers, bytes_of)


def _integers(data: bytes, entry: np.void, layout: Layout) -> tuple[int, ...]:
    tag, letters = int(entry["tag"]), _INTEGER_TYPES.get(int(entry["type"]))
    if letters is None:
        raise ImageDecodeError(f"the TIFF image has no whole number in its tag {tag}")
    kind = np.dtype(layout.order + letters)
    value = _value(data, entry, int(entry["count"]) * kind.itemsize, layout)
    return tuple(np.frombuffer(value, kind).tolist())


def _value(data: bytes, entry: np.void, size: int, layout: Layout) -> bytes:
    tag = int(entry["tag"])
    if int(entry["count"]) > MAX_VALUES:
        raise ImageDecodeError(f"the TIFF image has more than {MAX_VALUES:,} values in its tag {tag}")
    inline: bytes = entry["value"].tobytes()
    if size <= len(inline):
        return inline[:size]
    start = int(np.frombuffer(inline, layout.word)[0])
    value = data[start : start + size]
    if len(value) < size:
        raise ImageDecodeError(f"the TIFF image is cut short: its tag {tag} lies outside the file")
    return value


def _number(data: bytes, offset: int, kind: np.dtype[np.unsignedinteger]) -> int:
    """An unsigned integer; 0 outside the file."""
    return int.from_bytes(data[offset : offset + kind.itemsize], "little" if kind.str[0] in "<|" else "big")
