"""The headers of a JPEG 2000 codestream (ITU-T T.800, annex A), and what it costs to decode it."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

START = b"\xff\x4f\xff\x51"  # SOC and SIZ
MAX_TILES = 4096  # OpenJPEG takes about 10 kB of memory for each; 64 million pixels in tiles of 128x128 are 3,907
MAX_BLOCKS = 2**19  # OpenJPEG takes about 450 bytes for each; 64 million pixels in RGBA and blocks of 32x32 are 250,000
MAX_PACKETS = 2**21  # in all layers; 64 million pixels in RGBA, precincts of 128x128 and 12 layers are 1,140,000
LIMITS = f"{MAX_TILES:,} tiles, {MAX_BLOCKS:,} code blocks or {MAX_PACKETS:,} packets"  # for error messages
_MAX_SEGMENTS = 2**18  # of the main header and of all tile-parts
_SIZE_PLACE, _COUNT_PLACE, _COMPONENTS_PLACE = 8, 40, 42
_MAX_CODINGS = 256  # different ones
_COD, _COC, _SOT, _SOD = 0xFF52, 0xFF53, 0xFF90, 0xFF93
# OpenJPEG steps over the first two bytes of any other segment only, and finds what is inside it.
_SEGMENTS = frozenset({0xFF50, 0xFF51, _COD, _COC, *range(0xFF55, 0xFF5A), *range(0xFF5C, 0xFF62), 0xFF63, 0xFF64,
                       0xFF74, 0xFF75, 0xFF77, 0xFF78, _SOT})  # fmt: skip
_MAX_LEVELS, _LARGEST_PRECINCT = 32, 0xFF  # tables A.15 and A.21


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
        tile_width, tile_height: size of the largest tile in pixels.
        tiles_across, tiles_down: number of tiles.
        components: the components.
    """

    width: int
    height: int
    tile_width: int
    tile_height: int
    tiles_across: int
    tiles_down: int
    components: tuple[Component, ...]

    @property
    def decoded_bytes(self) -> int:
        """What OpenJPEG holds: 32 bits for each sample."""
        return 4 * len(self.components) * self.width * self.height

    @property
    def tiles(self) -> int:
        """The number of all tiles."""
        return self.tiles_across * self.tiles_down


def read_size(codestream: bytes) -> ImageSize | None:
    """Read the SIZ marker segment; None if the bytes are not a codestream, or its size is not above 0."""
    if not codestream.startswith(START) or len(codestream) < _COMPONENTS_PLACE:
        return None
    right, bottom, left, top, *tile = struct.unpack_from(">8I", codestream, _SIZE_PLACE)
    tile_width, tile_height, tile_left, tile_top = tile
    count = int.from_bytes(codestream[_COUNT_PLACE:_COMPONENTS_PLACE], "big")
    found = codestream[_COMPONENTS_PLACE : _COMPONENTS_PLACE + 3 * count]
    if right <= left or bottom <= top or not tile_width or not tile_height or not count or len(found) < 3 * count:
        return None
    width, height = right - left, bottom - top
    across, down = -(-(right - tile_left) // tile_width), -(-(bottom - tile_top) // tile_height)
    components = tuple(
        Component((depth & 0x7F) + 1, depth > 0x7F, factors != [1, 1])
        for depth, *factors in zip(found[::3], found[1::3], found[2::3], strict=True)
    )
    return ImageSize(width, height, min(tile_width, width), min(tile_height, height), across, down, components)


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
    for marker, body in _segments(codestream):
        if marker == _SOT:
            break
        if marker == _COD and len(body) >= 10:
            return Coding(mixes_components=body[4] == 1, is_reversible=body[9] == 1)
    return None


def cost(codestream: bytes) -> float:
    """What it costs to decode a codestream, in shares of what one picture may cost: above 1, it costs too much.

    OpenJPEG allocates each tile, each code block, and each packet in all layers. The counts are those that the most
    expensive segment (COD or COC) would give if it applied to all components of all tiles. The cost is infinite if
    there are too many segments, and 0 if the bytes are not a codestream.
    """
    size = read_size(codestream)
    if size is None:
        return 0.0
    codings: set[bytes] = set()
    layers, start_of_coc = 1, 2 + (len(size.components) > 256)  # A.6.2
    for number, (marker, body) in enumerate(_segments(codestream)):
        if number >= _MAX_SEGMENTS or len(codings) > _MAX_CODINGS:
            return math.inf
        start = {_COD: 5, _COC: start_of_coc}.get(marker, len(body))
        if len(body) < start + 5:
            continue
        if marker == _COD:
            layers = max(layers, int.from_bytes(body[2:4], "big"))
        codings.add(body[start : start + 5 + _MAX_LEVELS + 1])
    counts = [_count_parts(size, coding) for coding in codings]
    blocks, packets = (max((count[place] for count in counts), default=0) for place in (0, 1))
    return max(size.tiles / MAX_TILES, blocks / MAX_BLOCKS, packets * layers / MAX_PACKETS)


def lacks_tiles(codestream: bytes) -> bool:
    """Whether a codestream has no tile-part for one of its tiles, which OpenJPEG would show black."""
    size = read_size(codestream)
    found = {body[:2] for marker, body in _segments(codestream) if marker == _SOT}
    return size is not None and len(found) < size.tiles


def _count_parts(size: ImageSize, parameters: bytes) -> tuple[int, int]:
    """Code blocks, and packets per layer (B.6, B.7), by the parameters SPcod or SPcoc (table A.20)."""
    levels, across, down = min(parameters[0], _MAX_LEVELS), (parameters[1] & 15) + 2, (parameters[2] & 15) + 2
    blocks = packets = 0
    for resolution in range(levels + 1):
        halvings, has_bands = levels - resolution, resolution > 0
        precinct = parameters[5 + resolution] if 5 + resolution < len(parameters) else _LARGEST_PRECINCT
        wide, high = precinct & 15, precinct >> 4  # exponents, as all numbers here except the size
        packets += _pieces(size, halvings + wide, halvings + high)
        block_width, block_height = (
            halvings + has_bands + min(block, max(precinct_side - has_bands, 0))
            for block, precinct_side in ((across, wide), (down, high))
        )
        blocks += (3 if has_bands else 1) * _pieces(size, block_width, block_height)
    return blocks, packets


def _pieces(size: ImageSize, wide: int, high: int) -> int:
    """The number of pieces of 2^wide x 2^high pixels in all tiles and components."""
    pieces = len(size.components)
    for length, tile, count, exponent in (
        (size.width, size.tile_width, size.tiles_across, wide),
        (size.height, size.tile_height, size.tiles_down, high),
    ):
        last = max(length - (count - 1) * tile, 1)
        pieces *= (count - 1) * -(-tile >> exponent) + -(-last >> exponent)
    return pieces


def _segments(codestream: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each marker segment of the main header and of the headers of all tile-parts (A.3).

    Other bytes come in pairs, without a body.
    """
    place, end_of_part = 2, len(codestream)
    while place + 4 <= len(codestream):
        marker, length = struct.unpack_from(">HH", codestream, place)
        if marker == _SOD:
            place = end_of_part
            continue
        if marker not in _SEGMENTS:
            yield marker, b""
            place += 2
            continue
        body = codestream[place + 4 : place + 2 + length]
        if marker == _SOT and len(body) >= 6:
            part_bytes = int.from_bytes(body[2:6], "big")  # 0: up to the end (A.4.2)
            end_of_part = place + max(part_bytes, 12) if part_bytes else len(codestream)
        yield marker, body
        place += 2 + max(length, 2)
