"""JPEG and JPEG 2000 codestreams that are expensive to decode."""

import struct
from functools import cache

import numpy as np
from PIL import Image

from tests.support.samples import saved

_SIZ = b"\xff\x51"


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


@cache
def jpeg_of_many_scans() -> bytes:
    """A progressive JPEG of 4 million pixels whose last scan is repeated 2,000 times."""
    rows, columns = np.mgrid[:2000, :2000] // 500
    whole = saved(Image.fromarray((60 * ((rows + columns) % 2)).astype(np.uint8)), "JPEG", progressive=True)
    last_scan = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last_scan * 2000 + whole[-2:]


def jpeg_of_many_segments() -> bytes:
    """A JPEG with a million empty comments in front of its picture."""
    whole = saved(Image.new("L", (8, 8)), "JPEG")
    return whole[:2] + b"\xff\xfe\0\2" * 1_000_000 + whole[2:]


def jpeg_of_many_tables() -> bytes:
    """A JPEG with 60,000 quantisation tables in front of its picture."""
    whole = saved(Image.new("L", (8, 8)), "JPEG")
    return whole[:2] + (b"\xff\xdb\0\x43\0" + bytes([1] * 64)) * 60_000 + whole[2:]
