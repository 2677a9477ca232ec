"""Sizes of pictures inside a file, read from their own headers before a decoder sees them."""

import struct
from collections.abc import Iterator

Size = tuple[int, int]  # width and height in pixels
_JPEG_STARTS_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_JPEG_START_OF_SCAN = 0xDA
_MAX_MARKERS = 10_000  # before the header of a JPEG's frame
_MAX_BOXES = 1000
_JP2_SIGNATURE = b"\0\0\0\x0cjP  "
_JPEG_XL_SIGNATURE = b"\0\0\0\x0cJXL "
# ISO/IEC 18181-1, table of the ratio of width to height.
_JPEG_XL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def jpeg_frame(data: bytes) -> tuple[int, int, int, Size] | None:
    """Marker, bits per sample, components and size in the frame header of a JPEG (ITU-T T.81, B.2.2); None without."""
    place = 2
    for _ in range(_MAX_MARKERS):
        if place + 4 > len(data):
            return None
        if data[place] != 0xFF:
            place = data.find(b"\xff", place)
            if place < 0:
                return None
            continue
        marker = data[place + 1]
        if marker in _JPEG_STARTS_OF_FRAME and place + 10 <= len(data):
            bits, height, width, components = struct.unpack_from(">BHHB", data, place + 4)
            return marker, bits, components, (width, height)
        if marker == _JPEG_START_OF_SCAN:
            return None
        if marker == 0xFF:  # fill byte
            place += 1
        elif marker == 0 or marker in _JPEG_WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def jpeg_size(data: bytes) -> Size | None:
    """The size of a JPEG."""
    frame = jpeg_frame(data)
    return frame and frame[3]


def jpeg_2000_size(data: bytes) -> Size | None:
    """The size of a JPEG 2000 codestream, alone or in a JP2 file (ITU-T T.800, A.5.1)."""
    codestream = next((body for kind, body in boxes(data) if kind == b"jp2c"), data)
    if codestream[:4] != b"\xff\x4f\xff\x51" or len(codestream) < 24:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", codestream, 8)
    return right - left, bottom - top


def boxes(data: bytes, signature: bytes = _JP2_SIGNATURE) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box at the top level of a JP2 or JPEG XL file; nothing for other files."""
    place = 0
    for _ in range(_MAX_BOXES if data.startswith(signature) else 0):
        if place + 8 > len(data):
            return
        length, start = int.from_bytes(data[place : place + 4], "big"), place + 8
        if length == 1:
            length, start = int.from_bytes(data[place + 8 : place + 16], "big"), place + 16
        end = place + length if length else len(data)
        if end < start:
            return
        yield data[place + 4 : place + 8], data[start:end]
        place = end


def webp_size(data: bytes) -> Size | None:
    """The size of a WebP file, of all three kinds (RFC 9649, sections 2.5 to 2.7)."""
    kind, body = data[12:16], data[20:30]
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(body) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", body, 6)
    return width & 0x3FFF, height & 0x3FFF


def png_size(data: bytes) -> Size | None:
    """The size of a PNG file."""
    return struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" and len(data) > 24 else None


def lerc_size(data: bytes) -> Size | None:
    """The size of a LERC 2 picture (Esri's specification); from version 3 a checksum stands before it."""
    if not data.startswith(b"Lerc2 ") or len(data) < 22:
        return None
    version = int.from_bytes(data[6:10], "little")
    height, width = struct.unpack_from("<ii", data, 10 if version < 3 else 14)
    return width, height


def lerc_planes(data: bytes) -> int:
    """At least the number of values per pixel in LERC 2 pictures that follow each other."""
    per_picture = struct.unpack_from("<i", data, 22)[0] if data[6] >= 4 and len(data) >= 26 else 1
    return max(per_picture, 1) * data.count(b"Lerc2 ")


def jpeg_2000_components(data: bytes) -> list[tuple[int, bool]]:
    """Bits per sample of each component of a JPEG 2000 whose size could be read, and whether its samples are signed."""
    codestream = next((body for kind, body in boxes(data) if kind == b"jp2c"), data)
    count = int.from_bytes(codestream[40:42], "big")
    return [((depth & 0x7F) + 1, depth > 0x7F) for depth in codestream[42 : 42 + 3 * count : 3]]


def jpeg_2000_is_subsampled(data: bytes) -> bool:
    """Whether a JPEG 2000 whose size could be read has components of fewer samples than pixels."""
    codestream = next((body for kind, body in boxes(data) if kind == b"jp2c"), data)
    factors = codestream[42 : 42 + 3 * int.from_bytes(codestream[40:42], "big")]
    return set(factors[1::3]) | set(factors[2::3]) != {1}


def jpeg_xl_size(data: bytes) -> Size | None:
    """The size of a JPEG XL codestream, alone or in boxes (ISO/IEC 18181-1, SizeHeader)."""
    for kind, body in boxes(data, _JPEG_XL_SIGNATURE):
        if kind in (b"jxlc", b"jxlp"):
            data = body[4:] if kind == b"jxlp" else body
            break
    if data[:2] != b"\xff\x0a" or len(data) < 12:
        return None
    bits = _Bits(int.from_bytes(data[2:12], "little"))
    is_small = bits.take(1)
    height = _jpeg_xl_side(bits, is_small)
    ratio = bits.take(3)
    if not ratio:
        return _jpeg_xl_side(bits, is_small), height
    times, per = _JPEG_XL_RATIOS[ratio - 1]
    return height * times // per, height


class _Bits:
    """Bits of a number, the lowest first."""

    def __init__(self, number: int) -> None:
        self._number = number

    def take(self, count: int) -> int:
        taken = self._number & ((1 << count) - 1)
        self._number >>= count
        return taken


def _jpeg_xl_side(bits: _Bits, is_small: int) -> int:
    if is_small:
        return 8 * (bits.take(5) + 1)
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1
