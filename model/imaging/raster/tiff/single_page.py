"""One page of a TIFF file as a file of its own, which Pillow and tifffile read.

Both get only what describes the pixels: no list of pages to walk for every page, no metadata to parse, no tag that
points to something else. The copy has the byte order of the original and is never a BigTIFF.
"""

import struct
import zlib
from collections.abc import Mapping

from model.imaging.raster.tiff import directory as tags
from model.imaging.raster.tiff.compressions import DEFLATE, OLD_STYLE_JPEG, UNCOMPRESSED, WITH_PREDICTOR
from model.imaging.raster.tiff.directory import Layout
from model.imaging.raster.tiff.page import Page
from model.imaging.raster.tiff.segments import is_subsampled

_HEADER_BYTES, _WORD_BYTES, _CLASSIC = 8, 4, 42
_SHORT, _LONG, _RATIONAL = 3, 4, 5  # field types
_BYTES_PER_VALUE = {_RATIONAL: 8}
_SHORTS, _WORD = 2**16, 2**32 - 1
_REPLACED = (
    *(tags.STRIP_OFFSETS, tags.STRIP_BYTE_COUNTS, tags.TILE_OFFSETS, tags.TILE_BYTE_COUNTS, tags.ROWS_PER_STRIP),
    *(tags.TILE_WIDTH, tags.TILE_LENGTH, tags.IMAGE_DEPTH, tags.SAMPLES_PER_PIXEL),
)


def copy_page(data: bytes, layout: Layout, page: Page, segments: list[bytes]) -> bytes:
    """A TIFF file of one page.

    Args:
        data: the whole original; needed for old-style JPEG, whose tables lie anywhere.
        layout: header of the original.
        page: the page.
        segments: results of `model.imaging.raster.tiff.segments.read_segments`; without any, the copy is a file of
            which only the header can be read.
    """
    numbers = {tag: values for tag, values in page.directory.numbers.items() if tag not in _REPLACED}
    numbers[tags.SAMPLES_PER_PIXEL] = (page.samples,)
    if page.compression not in WITH_PREDICTOR:
        numbers.pop(tags.PREDICTOR, None)
    body = [data[_HEADER_BYTES:]] if page.compression == OLD_STYLE_JPEG else []
    if page.compression == OLD_STYLE_JPEG:
        for tag in _REPLACED:
            if values := page.directory.numbers.get(tag):
                numbers[tag] = values
    elif is_subsampled(page):  # Pillow takes uncompressed colour as not subsampled; libtiff knows better
        numbers[tags.COMPRESSION] = (DEFLATE,)
        _place(page, [zlib.compress(segment, 0) for segment in segments], page.tile, body, numbers)
    elif page.compression == UNCOMPRESSED and not page.is_tiled and segments:
        planes = [b"".join(segments[plane * page.rows :][: page.rows]) for plane in range(page.planes)]
        _place(page, planes, (page.width, page.height), body, numbers)
    else:
        _place(page, segments, page.tile, body, numbers)
    return _file(layout, numbers, page.directory.bytes_of, body)


def _place(
    page: Page, segments: list[bytes], tile: tuple[int, int], body: list[bytes], numbers: dict[int, tuple[int, ...]]
) -> None:
    """Append the segments to the body, and set the tags that say where they are."""
    places: dict[int, int] = {}
    end = _HEADER_BYTES
    for segment in segments:
        if id(segment) not in places:
            places[id(segment)] = end
            body.append(segment)
            end += len(segment)
    offsets = tuple(places[id(segment)] for segment in segments) or (_HEADER_BYTES,) * page.segments
    counts = tuple(map(len, segments)) or (1,) * page.segments
    if page.is_tiled:
        numbers |= {tags.TILE_WIDTH: tile[:1], tags.TILE_LENGTH: tile[1:]}
        numbers |= {tags.TILE_OFFSETS: offsets, tags.TILE_BYTE_COUNTS: counts}
    else:
        numbers |= {tags.ROWS_PER_STRIP: tile[1:], tags.STRIP_OFFSETS: offsets, tags.STRIP_BYTE_COUNTS: counts}


def _file(
    layout: Layout, numbers: dict[int, tuple[int, ...]], bytes_of: Mapping[int, tuple[int, bytes]], body: list[bytes]
) -> bytes:
    """Header, body, values that are too long for their entries, and the directory."""
    encoded = {tag: _encoded(layout.order, values) for tag, values in numbers.items() if values}
    for tag, (kind, value) in bytes_of.items():
        encoded[tag] = (kind, len(value) // _BYTES_PER_VALUE.get(kind, 1), value)
    end = _HEADER_BYTES + sum(map(len, body))
    entries = []
    for tag, (kind, count, value) in sorted(encoded.items()):
        place = value.ljust(_WORD_BYTES, b"\0")
        if len(value) > _WORD_BYTES:
            place = struct.pack(layout.order + "I", end)
            body.append(value)
            end += len(value)
        entries.append(struct.pack(layout.order + "HHI", tag, kind, count) + place)
    mark = b"II" if layout.order == "<" else b"MM"
    header = mark + struct.pack(layout.order + "HI", _CLASSIC, end)
    return b"".join([header, *body, struct.pack(layout.order + "H", len(entries)), *entries, bytes(_WORD_BYTES)])


def _encoded(order: str, values: tuple[int, ...]) -> tuple[int, int, bytes]:
    """Field type, count and bytes of whole numbers."""
    letter, kind = ("H", _SHORT) if min(values) >= 0 and max(values) < _SHORTS else ("I", _LONG)
    return kind, len(values), struct.pack(f"{order}{len(values)}{letter}", *(value & _WORD for value in values))
