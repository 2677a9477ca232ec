"""What the codestream of a compressed DICOM frame says, read before it is decoded.

A decoder allocates memory for the size in the codestream, and gives its colours, whatever the DICOM header says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge

MAX_SCANS = 100  # libtiff has the same limit; encoders write about a dozen scans, and each one visits all pixels
MAX_TILES = 16_384  # OpenJPEG takes about 10 kB of memory for each, however small it is
_JPEG2000_START, _SIZ, _COD, _SOT = b"\xff\x4f\xff\x51", 0x51, 0x52, 0x90
_JPEG2000_SEARCH_BYTES = 4096  # a JP2 file has boxes in front of its codestream
_JPEG_START, _SOF55, _SOS, _APP0, _APP14 = b"\xff\xd8", 0xF7, 0xDA, 0xE0, 0xEE
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, without DHT, JPG and DAC
_LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_SEQUENTIAL_DCT_FRAMES = frozenset({0xC0, 0xC1})
_LAST_COEFFICIENT = 63  # Se of a sequential scan (ITU-T T.81, B.2.3)
_RGB_COMPONENTS = (b"RGB", b"rgb")

Kind = Literal["JPEG", "JPEG-LS", "JPEG 2000"]


@dataclass(frozen=True)
class Codestream:
    """A compressed frame.

    Args:
        kind: the standard that defines it.
        data: its bytes, from its first marker on, in a form that the decoders read.
        rows, columns, samples: its size in pixels and its number of components.
        precision: bits per sample.
        is_signed: whether the decoder gives signed samples; only JPEG 2000 can say so.
        is_lossy: whether the samples may differ from those that were encoded.
        is_rgb: whether the decoded samples are RGB (True) or YCbCr (False); None if the codestream does not say.
    """

    kind: Kind
    data: bytes
    rows: int
    columns: int
    samples: int
    precision: int
    is_signed: bool
    is_lossy: bool
    is_rgb: bool | None


def read_codestream(frame: bytes) -> Codestream:
    """Read the headers of a codestream.

    Raises:
        ImageDecodeError: the bytes are none of the three kinds, or lack a needed header.
        ImageFormatUnsupported: the components differ in precision or size, or there are more than `MAX_SCANS` scans.
        ImageTooLarge: there are more than `MAX_TILES` tiles.
    """
    if frame.startswith(_JPEG_START):
        return _read_jpeg(frame)
    start = frame.find(_JPEG2000_START, 0, _JPEG2000_SEARCH_BYTES)
    if start < 0:
        raise ImageDecodeError(
            "the compressed frame of the DICOM file is damaged: it is not JPEG, JPEG-LS or JPEG 2000"
        )
    return _read_jpeg2000(frame[start:])


def _read_jpeg2000(data: bytes) -> Codestream:
    """SIZ and COD (ITU-T T.800, A.5.1 and A.6.1)."""
    segments = dict(_segments(data, last=_SOT))
    siz, cod = segments.get(_SIZ, b""), segments.get(_COD, b"")
    samples = _number(siz, 34, 2)
    components = [siz[36 + 3 * place : 39 + 3 * place] for place in range(samples)]
    if len(siz) < 36 + 3 * samples or not samples or len(cod) < 10:
        raise _damaged("JPEG 2000")
    if len(set(components)) > 1 or components[0][1:] != b"\1\1":
        raise ImageFormatUnsupported(
            "the JPEG 2000 frame of the DICOM file has components of different sizes or depths; send it uncompressed"
        )
    right, bottom, left, top = (_number(siz, 2 + 4 * place, 4) for place in range(4))
    width, height, tile_left, tile_top = (_number(siz, 18 + 4 * place, 4) for place in range(4))
    if not width or not height or -(-(right - tile_left) // width) * -(-(bottom - tile_top) // height) > MAX_TILES:
        raise ImageTooLarge(f"the JPEG 2000 frame of the DICOM file has more than {MAX_TILES:,} tiles")
    depth = components[0][0]  # Ssiz: bits per sample minus 1, and the sign in the highest bit
    mixes_components, is_reversible = cod[4] == 1, cod[9] == 1
    return Codestream("JPEG 2000", data, bottom - top, right - left, samples, (depth & 0x7F) + 1,
                      is_signed=depth >= 0x80, is_lossy=not is_reversible,
                      is_rgb=True if mixes_components else None)  # fmt: skip


def _read_jpeg(data: bytes) -> Codestream:
    """SOF, SOS and the application segments of JPEG (ITU-T T.81, B.2) or JPEG-LS (T.87, annex C)."""
    if data.count(bytes((0xFF, _SOS))) > MAX_SCANS:
        raise ImageFormatUnsupported(f"the compressed frame of the DICOM file has more than {MAX_SCANS} scans")
    segments = list(_segments(data, last=_SOS))
    frames = [(marker, body) for marker, body in segments if marker in _JPEG_FRAMES or marker == _SOF55]
    scans = [body for marker, body in segments if marker == _SOS]
    if len(frames) != 1 or len(frames[0][1]) < 6 or not scans:
        raise _damaged("JPEG")
    marker, frame = frames[0]
    samples = frame[5]
    is_ls = marker == _SOF55
    if marker in _SEQUENTIAL_DCT_FRAMES:
        data = _with_whole_scans(data)
    near = scans[0][-3] if is_ls and len(scans[0]) > 3 else 0
    return Codestream("JPEG-LS" if is_ls else "JPEG", data, _number(frame, 1, 2), _number(frame, 3, 2), samples,
                      frame[0], is_signed=False, is_lossy=near > 0 if is_ls else marker not in _LOSSLESS_FRAMES,
                      is_rgb=_jpeg_colours(segments, frame[6 : 6 + 3 * samples : 3]))  # fmt: skip


def _jpeg_colours(segments: list[tuple[int, bytes]], components: bytes) -> bool | None:
    """Whether three components are RGB, as libjpeg decides it: by JFIF, by Adobe's transform, by their names."""
    if len(components) != 3:
        return None
    if any(marker == _APP0 and body.startswith(b"JFIF") for marker, body in segments):
        return False
    for marker, body in segments:
        if marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            return body[11] == 0
    return True if components in _RGB_COMPONENTS else None


def _with_whole_scans(data: bytes) -> bytes:
    """Correct a usual fault: scan headers of sequential JPEG whose last coefficient (Se) is 0 instead of 63."""
    corrected = bytearray(data)
    place = data.find(bytes((0xFF, _SOS)))
    while place >= 0:
        end = place + 2 + _number(data, place + 2, 2)  # behind Ss, Se, and Ah and Al
        if end <= len(data) and data[end - 3 : end - 1] == b"\0\0":
            corrected[end - 2] = _LAST_COEFFICIENT
        place = data.find(bytes((0xFF, _SOS)), place + 2)
    return bytes(corrected)


def _segments(data: bytes, last: int) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each marker segment behind the first marker, up to and including the one named `last`."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        end = position + 2 + max(2, _number(data, position + 2, 2))
        yield marker, data[position + 4 : end]
        if marker == last:
            return
        position = end


def _number(data: bytes, start: int, size: int) -> int:
    return int.from_bytes(data[start : start + size], "big")


def _damaged(kind: str) -> ImageDecodeError:
    return ImageDecodeError(f"the {kind} frame of the DICOM file is damaged: its header is missing or incomplete")
