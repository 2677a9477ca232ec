"""What the codestream of a compressed DICOM frame says, read before it is decoded.

A decoder allocates memory for the size in the codestream, and gives its colours, whatever the DICOM header says.
"""

from dataclasses import dataclass
from typing import Literal

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.codestreams import jpeg, jpeg_2000

_JPEG2000_SEARCH_BYTES = 4096  # a JP2 file has boxes in front of its codestream
_JPEG_START, _APP0, _APP14 = b"\xff\xd8", 0xE0, 0xEE
_LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_SEQUENTIAL_DCT_FRAMES = frozenset({0xC0, 0xC1})
_LAST_COEFFICIENT = 63  # Se of a sequential scan (ITU-T T.81, B.2.3)
_RGB_COMPONENTS = (b"RGB", b"rgb")
_MAX_BITS = 32  # that the decoders give

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
        cost: what it costs to decode, in shares of what one picture may cost.
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
    cost: float

    @property
    def decoded_bytes(self) -> int:
        """What the decoder holds: 32 bits per coefficient or sample, except in JPEG-LS and lossless JPEG."""
        sample_bytes = 4 if self.kind == "JPEG 2000" or (self.kind == "JPEG" and self.is_lossy) else 2
        return sample_bytes * self.rows * self.columns * self.samples


def read_codestream(frame: bytes) -> Codestream:
    """Read the headers of a codestream.

    Raises:
        ImageDecodeError: the bytes are none of the three kinds, or lack a needed header or tiles.
        ImageFormatUnsupported: the components differ in precision or size, a sample has more than `_MAX_BITS`, or there
            are too many scans.
        ImageTooLarge: there are too many tiles, code blocks or packets.
    """
    codestream = _read_jpeg(frame) if frame.startswith(_JPEG_START) else _find_jpeg2000(frame)
    if codestream.precision > _MAX_BITS:
        raise ImageFormatUnsupported(
            f"the {codestream.kind} frame of the DICOM file has more than {_MAX_BITS} bits per sample"
        )
    return codestream


def _find_jpeg2000(frame: bytes) -> Codestream:
    start = frame.find(jpeg_2000.START, 0, _JPEG2000_SEARCH_BYTES)
    if start < 0:
        raise ImageDecodeError(
            "the compressed frame of the DICOM file is damaged: it is not JPEG, JPEG-LS or JPEG 2000"
        )
    return _read_jpeg2000(frame[start:])


def _read_jpeg2000(data: bytes) -> Codestream:
    size, coding = jpeg_2000.read_size(data), jpeg_2000.read_coding(data)
    if size is None or coding is None:
        raise _damaged("JPEG 2000")
    first = size.components[0]
    if len(set(size.components)) > 1 or first.is_subsampled:
        raise ImageFormatUnsupported(
            "the JPEG 2000 frame of the DICOM file has components of different sizes or depths; send it uncompressed"
        )
    cost = jpeg_2000.cost(data)
    if cost > 1:
        raise ImageTooLarge(
            f"the JPEG 2000 frame of the DICOM file has more than {jpeg_2000.LIMITS}; send it uncompressed"
        )
    if jpeg_2000.lacks_tiles(data):
        raise ImageDecodeError("the JPEG 2000 frame of the DICOM file is damaged: it lacks some of its tiles")
    return Codestream("JPEG 2000", data, size.height, size.width, len(size.components), first.bits,
                      is_signed=first.is_signed, is_lossy=not coding.is_reversible,
                      is_rgb=True if coding.mixes_components else None, cost=cost)  # fmt: skip


def _read_jpeg(data: bytes) -> Codestream:
    """JPEG or JPEG-LS."""
    segments, frame = list(jpeg.segments(data)), jpeg.read_frame(data)
    if frame is None or segments[-1][0] != jpeg.SCAN:
        raise _damaged("JPEG")
    cost = jpeg.cost(data, frame)
    if cost > 1:
        raise ImageFormatUnsupported(
            f"the compressed frame of the DICOM file has more than {jpeg.MAX_SCANS} scans, or too many for its size"
        )
    is_ls, scan = frame.marker == jpeg.LS, segments[-1][1]
    is_dct = not is_ls and frame.marker not in _LOSSLESS_FRAMES
    if frame.marker in _SEQUENTIAL_DCT_FRAMES:
        data = _with_whole_scans(data)
    near = scan[-3] if len(scan) > 3 else 0  # T.87, C.2.3
    # A lossless process transforms no colours, but writers leave the marks of YCbCr there. GDCM and dcmtk ignore these.
    is_rgb = _jpeg_colours(segments, frame)
    return Codestream("JPEG-LS" if is_ls else "JPEG", data, frame.height, frame.width, len(frame.components),
                      frame.bits, is_signed=False,
                      is_lossy=near > 0 if is_ls else is_dct,
                      is_rgb=is_rgb if is_dct else is_rgb or None, cost=cost)  # fmt: skip


def _jpeg_colours(segments: list[tuple[int, bytes]], frame: jpeg.FrameHeader) -> bool | None:
    """Whether three components are RGB, as libjpeg decides it: by JFIF, by Adobe's transform, by their names.

    Nobody subsamples one of the colours red, green and blue. So components of different sizes are YCbCr.
    """
    if len(frame.components) != 3:
        return None
    if any(marker == _APP0 and body.startswith(b"JFIF") for marker, body in segments):
        return False
    for marker, body in segments:
        if marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            return body[11] == 0
    if frame.components in _RGB_COMPONENTS:
        return True
    return None if len(set(frame.sampling)) == 1 else False


def _with_whole_scans(data: bytes) -> bytes:
    """Correct a usual fault: scan headers of sequential JPEG whose last coefficient (Se) is 0 instead of 63."""
    corrected = bytearray(data)
    place = data.find(jpeg.START_OF_SCAN)
    while place >= 0:
        end = place + 2 + _number(data, place + 2, 2)  # behind Ss, Se, and Ah and Al
        if end <= len(data) and data[end - 3 : end - 1] == b"\0\0":
            corrected[end - 2] = _LAST_COEFFICIENT
        place = data.find(jpeg.START_OF_SCAN, place + 2)
    return bytes(corrected)


def _number(data: bytes, start: int, size: int) -> int:
    return int.from_bytes(data[start : start + size], "big")


def _damaged(kind: str) -> ImageDecodeError:
    return ImageDecodeError(f"the {kind} frame of the DICOM file is damaged: its header is missing or incomplete")
