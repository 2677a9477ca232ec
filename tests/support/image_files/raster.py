"""Image files of unusual structure."""

import struct
import zlib

import numpy as np
from PIL import Image

from tests.support.samples import saved


def gradient(mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Red and blue rise along the columns, green along the rows."""
    width, height = size
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([red, green, red], axis=-1).astype(np.uint8)).convert(mode)


def tiled_tiff(tile_side: int, *, order: str = "<", kind: str = "I", big: bool = False) -> bytes:
    """A TIFF that shows one pixel of one deflated tile.

    Args:
        tile_side: sides of the tile in pixels.
        order: byte order, as in `struct`.
        kind: field type of the two sides, a letter of `struct`.
        big: True makes a BigTIFF.
    """
    data = zlib.compress(bytes(tile_side * tile_side), 9)
    word = "Q" if big else "I"
    types = {"H": 3, "I": 4, "i": 9, "Q": 16, "q": 17}
    tags = [
        (256, 1),
        (257, 1),
        (258, 8),
        (259, 8),
        (262, 1),
        (277, 1),
        (322, tile_side),
        (323, tile_side),
        (324, 0),
        (325, len(data)),
    ]
    start = 16 if big else 8
    directory_bytes = (8 + 20 * len(tags) + 8) if big else (2 + 12 * len(tags) + 4)
    aside = start + directory_bytes  # offset of a value that is too long for its entry
    entries = b""
    for tag, number in tags:
        letter = kind if tag in (322, 323) else "I"
        value = struct.pack(order + letter, aside + 8 if tag == 324 else number)
        if len(value) > struct.calcsize(order + word):
            value = struct.pack(order + word, aside)
        entries += struct.pack(f"{order}HH{word}", tag, types[letter], 1) + value.ljust(
            struct.calcsize(order + word), b"\0"
        )
    mark = b"II" if order == "<" else b"MM"
    head = mark + (struct.pack(order + "HHHQ", 43, 8, 0, start) if big else struct.pack(order + "HI", 42, start))
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    return head + count + entries + bytes(8 if big else 4) + struct.pack(order + "Q", tile_side) + data


def jpeg_with_endless_scans() -> bytes:
    """A progressive JPEG whose last scan is repeated 5000 times."""
    whole = saved(gradient("L", (2000, 2000)), "JPEG", progressive=True)
    last_scan = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last_scan * 5000 + whole[-2:]
