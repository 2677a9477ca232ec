"""Marker segments of JPEG (ITU-T T.81, annex B) and JPEG-LS (T.87, annex C)."""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

START_OF_SCAN = b"\xff\xda"  # table B.1, as all markers here
MAX_SCANS = 100  # libtiff has the same limit; encoders write about a dozen scans
MAX_SCAN_PIXELS = 2**30  # of all scans, each of which visits all pixels: a dozen scans of 89 million pixels
LOSSLESS, LS = 0xC3, 0xF7  # markers of frame headers
_PROGRESSIVE = frozenset({0xC2, 0xCA})  # with Huffman and with arithmetic coding
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {LS}
SCAN = 0xDA  # marker of a scan header
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")  # those with a length, and the end
_MAX_SEGMENTS = 10_000
_MAX_BYTES_BETWEEN = 10_000  # segments before the first scan: Pillow reads them one by one
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
        sampling: horizontal and vertical sampling factor of each component, in the upper and lower half of a byte.
    """

    marker: int
    bits: int
    width: int
    height: int
    components: bytes
    sampling: bytes


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each marker segment behind the first marker, up to and including the first scan header.

    Bytes between segments are passed over, as decoders do.
    """
    for marker, start, end in _places(data):
        yield marker, data[start:end]
        if marker == SCAN:
            return


def count_scans(data: bytes) -> int:
    """The number of scans of the picture: none of a thumbnail, none behind the end."""
    places = list(_places(data))
    rest = places[-1][2] if places else 0
    is_whole = bool(places) and places[-1][0] == _END[1]
    return sum(marker == SCAN for marker, *_ in places) + (0 if is_whole else data.count(START_OF_SCAN, rest))


def cost(data: bytes, frame: FrameHeader) -> float:
    """What it costs to decode the scans, in shares of what one picture may cost: above 1, it costs too much.

    The cost is infinite if there are more than `MAX_SCANS`.
    """
    scans = count_scans(data)
    return math.inf if scans > MAX_SCANS else scans * frame.width * frame.height / MAX_SCAN_PIXELS


def coefficient_bytes(data: bytes, frame: FrameHeader) -> float:
    """What libjpeg holds beside the picture: 16 bits per coefficient, but none if the first scan has all of them."""
    scan = next((body for marker, body in segments(data) if marker == SCAN), b"")
    if frame.marker not in _PROGRESSIVE and scan[:1] == bytes([len(frame.components)]):
        return 0.0
    factors = [(sampling >> 4, sampling & 15) for sampling in frame.sampling]
    across, down = (max(1, *sides) for sides in zip(*factors, (1, 1), strict=True))
    samples: float = sum(horizontal * vertical for horizontal, vertical in factors) / (across * down)
    return 2 * samples * frame.width * frame.height


def _places(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, and start and end of the body, of each marker segment and of the end marker behind the first scan."""
    place, has_scan, between = 2, False, 0
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, place)
        if found is None:
            return
        between += 0 if has_scan else found.start() - place
        if between > _MAX_BYTES_BETWEEN:
            return
        place, marker = found.end(), data[found.start() + 1]
        if marker == _END[1]:
            if has_scan:
                yield marker, place, place
                return
        elif place + 2 > len(data):
            return
        else:
            end = place + max(2, int.from_bytes(data[place : place + 2], "big"))
            yield marker, place + 2, end
            place, has_scan = end, has_scan or marker == SCAN


def read_frame(data: bytes) -> FrameHeader | None:
    """Read the frame header; None if there is none before the first scan, or if it is cut short."""
    body, marker = next(((body, marker) for marker, body in segments(data) if marker in _FRAMES), (b"", 0))
    if len(body) < 6:
        return None
    bits, height, width, count = struct.unpack_from(">BHHB", body)
    components, sampling = (body[first : 6 + 3 * count : 3].ljust(count, b"\0") for first in (6, 7))
    return FrameHeader(marker, bits, width, height, components, sampling)


def has_end(data: bytes) -> bool:
    """Whether the last scan of a JPEG has an end marker. No scan contains these bytes otherwise (B.1.1.5)."""
    return any(marker == _END[1] for marker, *_ in _places(data))


def has_all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG bring all coefficients of all components, to the last bit (G.1.1.1)."""
    frame = read_frame(data)
    if frame is None:
        return False
    missing: dict[int, set[int]] = {}
    for marker, start, end in _places(data):
        if marker != SCAN:
            continue
        header = data[start:end]
        count = header[0] if header else 0
        if len(header) < 1 + 2 * count + 3:
            return False
        first, last, precision = struct.unpack_from("3B", header, 1 + 2 * count)
        if frame.marker not in _PROGRESSIVE:
            first, last, precision = 0, _COEFFICIENTS - 1, 0
        for component in header[1 : 1 + 2 * count : 2]:
            left = missing.setdefault(component, set(range(_COEFFICIENTS)))
            if not precision & 0x0F:
                left.difference_update(range(first, last + 1))
    return len(missing) == len(frame.components) and not any(missing.values())
