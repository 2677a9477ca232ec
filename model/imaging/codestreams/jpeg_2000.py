"""The header of a JPEG 2000 codestream (ITU-T T.800, annex A)."""

import struct
from dataclasses import dataclass

START = b"\xff\x4f\xff\x51"  # SOC and SIZ
MAX_TILES = 4096  # OpenJPEG takes about 10 kB of memory for each; 64 million pixels in tiles of 128x128 are 3,907
_SIZE_PLACE, _COUNT_PLACE, _COMPONENTS_PLACE = 8, 40, 42
_COD, _SOT = b"\xff\x52", b"\xff\x90"


@dataclass(frozen=True)
class Component:
    """A component of a codestream.

    Args:
        bits: bits per sample.
        is_signed: whether samples are signed.
        is_subsampled: whether there are fewer samples than pixels.
    """

    bits: int
    is_signed: bool
    is_subsampled: bool


@dataclass(frozen=True)
class ImageSize:
    """The SIZ marker segment (A.5.1).

    Args:
        width, height: size in pixels.
        tiles: number of tiles.
        components: the components.
    """

    width: int
    height: int
    tiles: int
    components: tuple[Component, ...]


def read_size(codestream: bytes) -> ImageSize | None:
    """Read the SIZ marker segment; None if the bytes are not a codestream, or its size is not above 0."""
    if not codestream.startswith(START) or len(codestream) < _COMPONENTS_PLACE:
        return None
    right, bottom, left, top, *tile = struct.unpack_from(">8I", codestream, _SIZE_PLACE)
    width, height, tile_left, tile_top = tile
    count = int.from_bytes(codestream[_COUNT_PLACE:_COMPONENTS_PLACE], "big")
    found = codestream[_COMPONENTS_PLACE : _COMPONENTS_PLACE + 3 * count]
    if right <= left or bottom <= top or not width or not height or not count or len(found) < 3 * count:
        return None
    tiles = -(-(right - tile_left) // width) * -(-(bottom - tile_top) // height)
    components = tuple(
        Component((depth & 0x7F) + 1, depth > 0x7F, (across, down) != (1, 1))
        for depth, across, down in zip(found[::3], found[1::3], found[2::3], strict=True)
    )
    return ImageSize(right - left, bottom - top, tiles, components)


@dataclass(frozen=True)
class Coding:
    """The COD marker segment (A.6.1).

    Args:
        mixes_components: whether the encoder transformed RGB to other components; decoders give RGB.
        is_reversible: whether samples are decoded as they were encoded.
    """

    mixes_components: bool
    is_reversible: bool


def read_coding(codestream: bytes) -> Coding | None:
    """Read the COD marker segment of the main header; None if it is missing or cut short."""
    place = 2
    while place + 4 <= len(codestream) and codestream[place : place + 2] != _SOT:
        end = place + 2 + max(2, int.from_bytes(codestream[place + 2 : place + 4], "big"))
        body = codestream[place + 4 : end]
        if codestream[place : place + 2] == _COD and len(body) >= 10:
            return Coding(mixes_components=body[4] == 1, is_reversible=body[9] == 1)
        place = end
    return None
