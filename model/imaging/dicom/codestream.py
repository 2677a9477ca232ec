"""Size of a compressed DICOM frame, read from its codestream.

A decoder allocates memory for the size in the codestream, whatever the DICOM header says.
"""

from typing import Any

from pydicom.encaps import get_frame
from pydicom.uid import UID, RLELossless

from model.errors import ImageDecodeError
from model.imaging.dicom import frames
from model.imaging.limits import too_many_pixels

_JPEG2000_START = b"\xff\x4f\xff\x51"  # SOC and SIZ
_JPEG2000_SEARCH_BYTES = 4096  # a JP2 file has boxes in front of its codestream
_JPEG_LS_FRAME = 0xF7
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, without DHT, JPG and DAC


def check_codestream(dataset: Any, index: int, max_pixels: int) -> None:
    """Check the size in a compressed frame's codestream. Native and RLE frames have no such size.

    Raises:
        ImageDecodeError: the size is missing or differs from the DICOM header.
        ImageTooLarge: the frame has more than `max_pixels`.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not syntax.is_encapsulated or syntax == RLELossless:
        return
    frame = get_frame(
        dataset.PixelData, index, number_of_frames=frames.count(dataset), extended_offsets=_extended_offsets(dataset)
    )
    rows, columns = _size(frame)
    if rows * columns > max_pixels:
        raise too_many_pixels(max_pixels)
    if (rows, columns) != (int(dataset.Rows), int(dataset.Columns)):
        raise ImageDecodeError("the DICOM file's header and its compressed frame have different sizes")


def _extended_offsets(dataset: Any) -> tuple[bytes, bytes] | None:
    if "ExtendedOffsetTable" not in dataset or "ExtendedOffsetTableLengths" not in dataset:
        return None
    return dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths


def _size(frame: bytes) -> tuple[int, int]:
    """Rows and columns in the frame header of JPEG (ITU-T T.81, B.2.2) or JPEG-LS (T.87, annex C), or in the SIZ marker
    segment of JPEG 2000 (T.800, A.5.1).
    """

    def number(start: int, size: int) -> int:
        return int.from_bytes(frame[start : start + size], "big")

    if (start := frame.find(_JPEG2000_START, 0, _JPEG2000_SEARCH_BYTES)) >= 0:
        right, bottom, left, top = (number(start + 8 + 4 * place, 4) for place in range(4))
        return bottom - top, right - left
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _JPEG_FRAMES or marker == _JPEG_LS_FRAME:
            return number(position + 5, 2), number(position + 7, 2)
        else:
            position += 2 + max(2, number(position + 2, 2))
    raise ImageDecodeError("the DICOM file is damaged or cut short")
