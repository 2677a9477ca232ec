"""Image files of unusual structure."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image


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


@dataclass(frozen=True)
class TiffPage:
    """One page of a TIFF that no library writes: its tags, and the encoded bytes of its strips or tiles.

    Args:
        tags: a whole number, or several, by tag; those of the strips' places and lengths are added.
        segments: the strips, or the tiles if the tags have a tile width.
        bytes_of: tags of bytes (field type UNDEFINED).
    """

    tags: Mapping[int, Any]
    segments: Sequence[bytes]
    bytes_of: Mapping[int, bytes] = field(default_factory=dict)


def tiff(pages: Sequence[TiffPage], *, order: str = "<", big: bool = False, last_link: int = 0) -> bytes:
    """A TIFF of these pages.

    Args:
        pages: the pages, in their order.
        order: byte order, as in `struct`.
        big: True makes a BigTIFF.
        last_link: place to which the last page points; 0 ends the list of pages.
    """
    word, count_letter, kind = ("Q", "Q", 16) if big else ("I", "H", 4)
    link = 8 if big else 4  # place of the offset of the next directory
    head = (b"II" if order == "<" else b"MM") + struct.pack(
        order + ("HHH" if big else "H"), *((43, 8, 0) if big else (42,))
    )
    file = bytearray(head + bytes(struct.calcsize(word)))
    for page in pages:
        values: dict[int, tuple[int, int, bytes]] = {}
        places = []
        for segment in page.segments:
            places.append(len(file))
            file += segment
        offsets, counts = (324, 325) if 322 in page.tags else (273, 279)
        tags = {offsets: places, counts: [len(segment) for segment in page.segments], **page.tags}
        for tag, number in tags.items():
            numbers = [number] if isinstance(number, int) else list(number)
            if numbers:
                values[tag] = (kind, len(numbers), struct.pack(f"{order}{len(numbers)}{word}", *numbers))
        values |= {tag: (7, len(value), value) for tag, value in page.bytes_of.items()}
        entries = b""
        for tag, (field_type, count, value) in sorted(values.items()):
            if len(value) > struct.calcsize(word):
                place = struct.pack(order + word, len(file))
                file += value
            else:
                place = value.ljust(struct.calcsize(word), b"\0")
            entries += struct.pack(f"{order}HH{word}", tag, field_type, count) + place
        struct.pack_into(order + word, file, link, len(file))
        link = len(file) + struct.calcsize(count_letter) + len(entries)
        file += struct.pack(order + count_letter, len(values)) + entries + bytes(struct.calcsize(word))
    struct.pack_into(order + word, file, link, last_link)
    return bytes(file)


def subsampled_jpeg_2000(picture: Image.Image, across: int, down: int) -> bytes:
    """A codestream of YCbCr with fewer samples of colour: the packets of three grey ones (ITU-T T.800, A.5.1)."""
    brightness, *colours = (np.asarray(band) for band in picture.convert("YCbCr").split())
    planes = [brightness, *(np.ascontiguousarray(colour[::down, ::across]) for colour in colours)]
    encoded = [bytes(imagecodecs.jpeg2k_encode(plane, codecformat="j2k", resolutions=1)) for plane in planes]
    packets = b"".join(part[part.index(b"\xff\x93") + 2 : -2] for part in encoded)
    whole = bytearray(encoded[0][: encoded[0].index(b"\xff\x93") + 2])
    tile = whole.index(b"\xff\x90")
    whole[tile + 6 : tile + 10] = struct.pack(">I", len(whole) - tile + len(packets))
    whole[40:45] = struct.pack(">H", 3) + bytes([7, 1, 1, 7, across, down, 7, across, down])
    whole[4:6] = struct.pack(">H", int.from_bytes(whole[4:6], "big") + 6)
    return bytes(whole) + packets + b"\xff\xd9"
