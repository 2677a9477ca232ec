"""JPEG and JPEG 2000 codestreams that are expensive to decode."""

import struct
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from tests.support.samples import saved

_SIZ, _COD, _SOT = b"\xff\x51", b"\xff\x52", b"\xff\x90"


@cache
def black_codestream(side: int) -> bytes:
    """A JPEG 2000 codestream of a black picture: a few hundred bytes, whatever its size."""
    return saved(Image.new("L", (side, side)), "JPEG2000", no_jp2=True)


def resized(codestream: bytes, side: int) -> bytes:
    """A JPEG 2000 codestream that claims another size, for the picture and for its only tile (ITU-T T.800, A.5.1)."""
    place = codestream.index(_SIZ) + 6
    size = struct.pack(">II", side, side)
    return codestream[:place] + size + codestream[place + 8 : place + 16] + size + codestream[place + 24 :]


def many_tiles(side: int) -> bytes:
    """A JPEG 2000 codestream whose tiles have one pixel each; only the first one is there."""
    whole = resized(black_codestream(8), side)
    place = whole.index(_SIZ) + 22
    return whole[:place] + struct.pack(">II", 1, 1) + whole[place + 8 :]


def many_components(count: int) -> bytes:
    """A JPEG 2000 codestream of very many components."""
    whole = black_codestream(8)
    place = whole.index(_SIZ)
    segment = whole[place + 4 : place + 38] + struct.pack(">H", count) + b"\x07\x01\x01" * count
    return whole[:place] + _SIZ + struct.pack(">H", 38 + 3 * count) + segment + whole[place + 43 :]


def finely_coded(
    side: int, *, block: int = 4, precinct: int = 15, layers: int = 1, before: bytes = b"", is_in_tile: bool = False
) -> bytes:
    """A JPEG 2000 codestream whose COD marker segment asks for many parts (A.6.1).

    Args:
        side: of the black picture, in pixels.
        block, precinct: exponents of the sides of its code blocks, less 2, and of its precincts.
        layers: number of its layers.
        before: bytes in front of the marker segment.
        is_in_tile: whether the segment stands in the header of the tile, and a usual one in the main header.
    """
    whole = resized(black_codestream(8), side)
    start, tile = whole.index(_COD), whole.index(_SOT)
    end = start + 2 + int.from_bytes(whole[start + 2 : start + 4], "big")
    levels, transform = whole[start + 9], whole[end - 1 : end]
    sides = bytes([precinct << 4 | precinct]) * (levels + 1)
    body = struct.pack(">BBHBBBBB", 1, 0, layers, 0, levels, block, block, 0) + transform + sides
    segment = before + _COD + struct.pack(">H", 2 + len(body)) + body
    if is_in_tile:  # its length 0 stands for everything up to the end
        return whole[: tile + 6] + bytes(4) + whole[tile + 10 : tile + 12] + segment + whole[tile + 12 :]
    return whole[:start] + segment + whole[end:]


def codestream_of_layers(count: int) -> bytes:
    """A JPEG 2000 codestream of 16 x 16 pixels, in precincts of one pixel and many layers (ITU-T T.800, A.6.1)."""
    whole = black_codestream(16)
    start = whole.index(b"\xff\x52")
    coding = b"\1\0" + struct.pack(">H", count) + b"\0" + b"\0\0\0\0\1" + b"\0"
    quantisation = b"\xff\x5c\0\4\x40\x40"
    tile = whole[whole.index(b"\xff\x90") :]
    return whole[:start] + b"\xff\x52" + struct.pack(">H", 2 + len(coding)) + coding + quantisation + tile


def deep_components(count: int, side: int) -> bytes:
    """A JPEG 2000 codestream of more components than colours and alpha, of 16 bits each."""
    whole = resized(many_components(count), side)
    return whole.replace(b"\x07\x01\x01" * count, b"\x0f\x01\x01" * count)


def many_tile_parts(count: int) -> bytes:
    """A JPEG 2000 codestream of empty tile-parts."""
    whole = black_codestream(8)
    part = _SOT + struct.pack(">HHIBB", 10, 0, 14, 0, 0) + b"\xff\x93"
    return whole[: whole.index(_SOT)] + part * count


def many_codings(count: int) -> bytes:
    """A JPEG 2000 codestream of COD marker segments that all differ."""
    whole = black_codestream(8)
    start = whole.index(_COD)
    end = start + 2 + int.from_bytes(whole[start + 2 : start + 4], "big")
    head = struct.pack(">BBHBBBBBB", 0, 0, 1, 0, 32, 4, 4, 0, 1)
    segments = (_COD + struct.pack(">H", 16) + head + number.to_bytes(4, "big") for number in range(count))
    return whole[:start] + b"".join(segments) + whole[end:]


def jpeg_of_scans(count: int, side: int) -> bytes:
    """A progressive JPEG of one grey, in whole scans, of which the last one is repeated."""
    whole = saved(Image.new("L", (side, side), 60), "JPEG", progressive=True)
    last_scan = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last_scan * (count - whole.count(b"\xff\xda")) + whole[-2:]


def jpeg_claiming(side: int, mode: str = "RGB", **options: Any) -> bytes:
    """A JPEG of 64 x 64 pixels that claims another size; libjpeg takes what it lacks for grey."""
    whole = saved(Image.new(mode, (64, 64)), "JPEG", **options)
    place = max(whole.find(b"\xff\xc0"), whole.find(b"\xff\xc2")) + 5
    return whole[:place] + struct.pack(">HH", side, side) + whole[place + 4 :]


def jpeg_of_exif_segments(count: int) -> bytes:
    """A JPEG with one directory of EXIF, of entries that share long values, cut into many segments."""
    entries = [struct.pack(">HHII", 0x11A, 5, 1, 8)]
    entries += [struct.pack(">HHII", 40_000 + number, 1, 30_000, 8) for number in range(2700)]
    body = b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4)
    step = -(-len(body) // count)
    parts = (b"Exif\0\0" + body[start : start + step] for start in range(0, len(body), step))
    whole = saved(Image.new("L", (8, 8)), "JPEG")
    return whole[:2] + b"".join(jpeg_segment(0xE1, part) for part in parts) + whole[2:]


def jpeg_segment(marker: int, body: bytes) -> bytes:
    """A marker segment of a JPEG (ITU-T T.81, B.1.1.4)."""
    return struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body


@cache
def jpeg_of_many_scans() -> bytes:
    """A progressive JPEG of 4 million pixels whose last scan is repeated 2,000 times."""
    rows, columns = np.mgrid[:2000, :2000] // 500
    whole = saved(Image.fromarray((60 * ((rows + columns) % 2)).astype(np.uint8)), "JPEG", progressive=True)
    last_scan = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last_scan * 2000 + whole[-2:]


def jpeg_of_many_scans_behind_comments() -> bytes:
    """As `jpeg_of_many_scans`, and the scans follow comments, one of which contains an end marker."""
    whole = jpeg_of_many_scans()
    place = whole.index(b"\xff\xda", whole.index(b"\xff\xda") + 2)
    return whole[:place] + jpeg_segment(0xFE, b"\xff\xd9") + jpeg_segment(0xFE, b"") * 20_000 + whole[place:]


def jpeg_of_many_segments() -> bytes:
    """A JPEG with a million empty comments in front of its picture."""
    whole = saved(Image.new("L", (8, 8)), "JPEG")
    return whole[:2] + b"\xff\xfe\0\2" * 1_000_000 + whole[2:]


def jpeg_of_many_tables() -> bytes:
    """A JPEG with 60,000 quantisation tables in front of its picture."""
    whole = saved(Image.new("L", (8, 8)), "JPEG")
    return whole[:2] + (b"\xff\xdb\0\x43\0" + bytes([1] * 64)) * 60_000 + whole[2:]
