"""Sizes of pictures inside a file, read from their own headers before a decoder sees them."""

import struct
from collections.abc import Iterator

from model.imaging.codestreams import jpeg, jpeg_2000

Size = tuple[int, int]  # width and height in pixels
_MAX_BOXES = 1000
_JP2_SIGNATURE = b"\0\0\0\x0cjP  "


def jpeg_size(data: bytes) -> Size | None:
    """The size of a JPEG."""
    frame = jpeg.read_frame(data)
    return None if frame is None else (frame.width, frame.height)


def jpeg_2000_codestream(data: bytes) -> bytes:
    """The codestream of a JPEG 2000, which stands alone or in a JP2 file."""
    return next((body for kind, body in boxes(data) if kind == b"jp2c"), data)


def jpeg_2000_size(data: bytes) -> Size | None:
    """The size of a JPEG 2000."""
    size = jpeg_2000.read_size(jpeg_2000_codestream(data))
    return None if size is None else (size.width, size.height)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box at the top level of a JP2 file; nothing for other files."""
    place = 0
    for _ in range(_MAX_BOXES if data.startswith(_JP2_SIGNATURE) else 0):
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


def jpeg_2000_components(data: bytes) -> tuple[jpeg_2000.Component, ...]:
    """The components of a JPEG 2000; none if its header cannot be read."""
    size = jpeg_2000.read_size(jpeg_2000_codestream(data))
    return size.components if size else ()
