"""Marker segments of JPEG (ITU-T T.81, annex B) and JPEG-LS (T.87, annex C)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

START_OF_SCAN = b"\xff\xda"  # table B.1, as all markers here
MAX_SCANS = 100  # libtiff has the same limit; encoders write about a dozen scans, and each one visits all pixels
PROGRESSIVE, LOSSLESS, LS = 0xC2, 0xC3, 0xF7  # markers of frame headers
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {LS}
_WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
SCAN = 0xDA  # marker of a scan header
_FILL = 0xFF
_MAX_SEGMENTS = 10_000  # before the first scan
_END = b"\xff\xd9"
_COEFFICIENTS = 64
# Taken for coefficients where a scan lacks some. Its first bits are ones, as libjpeg fills up with zeros.
_NOISE = bytes(range(250, 0, -1)) * 4
ENDS = (_END, _NOISE + _END)  # two ends whose pictures differ if something is missing before them


@dataclass(frozen=True)
class FrameHeader:
    """The frame header (T.81, B.2.2).

    Args:
        marker: SOF0 to SOF15, or that of JPEG-LS.
        bits: bits per sample.
        width, height: size in pixels.
        components: identifier of each component.
    """

    marker: int
    bits: int
    width: int
    height: int
    components: bytes


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each marker segment behind the first marker, up to and including the first scan header.

    Bytes between segments are passed over, as decoders do.
    """
    place = 2
    for _ in range(_MAX_SEGMENTS):
        place = data.find(b"\xff", place)
        if place < 0 or place + 4 > len(data):
            return
        marker = data[place + 1]
        if marker == _FILL:
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            end = place + 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
            yield marker, data[place + 4 : end]
            if marker == SCAN:
                return
            place = end


def read_frame(data: bytes) -> FrameHeader | None:
    """Read the frame header; None if there is none before the first scan, or if it is cut short."""
    body, marker = next(((body, marker) for marker, body in segments(data) if marker in _FRAMES), (b"", 0))
    if len(body) < 6:
        return None
    bits, height, width, count = struct.unpack_from(">BHHB", body)
    return FrameHeader(marker, bits, width, height, body[6 : 6 + 3 * count : 3].ljust(count, b"\0"))


def has_end(data: bytes) -> bool:
    """Whether the last scan of a JPEG has an end marker. No scan contains these bytes otherwise (B.1.1.5)."""
    return data.find(_END, max(data.rfind(START_OF_SCAN), 0)) >= 0


def has_all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG bring all coefficients of all components, to the last bit (G.1.1.1)."""
    frame = read_frame(data)
    if frame is None:
        return False
    missing: dict[int, set[int]] = {}
    place = data.find(START_OF_SCAN)
    while place >= 0:
        count = data[place + 4] if place + 4 < len(data) else 0
        header = data[place + 5 : place + 5 + 2 * count + 3]
        if len(header) < 2 * count + 3:
            return False
        first, last, precision = struct.unpack("3B", header[-3:])
        if frame.marker != PROGRESSIVE:
            first, last, precision = 0, _COEFFICIENTS - 1, 0
        for component in header[: 2 * count : 2]:
            left = missing.setdefault(component, set(range(_COEFFICIENTS)))
            if not precision & 0x0F:
                left.difference_update(range(first, last + 1))
        place = data.find(START_OF_SCAN, place + 2)
    return len(missing) == len(frame.components) and not any(missing.values())
