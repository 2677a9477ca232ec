"""Frames of encapsulated pixel data (PS3.5 A.4): which fragments belong to which frame.

Offset tables are often wrong, partial or zero. The codestreams tell where a frame begins if they are as many as the
frames. Otherwise, a table is used if it fits the fragments.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from model.errors import ImageDecodeError, ImageTooLarge

_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"  # encapsulated pixel data is always little endian
_HEADER_BYTES = 8  # tag and length of an item
MAX_FRAGMENTS = 2**17  # reading their headers takes about half a second
# First bytes of a frame: JPEG and JPEG-LS (SOI and a marker), JPEG 2000 (SOC and SIZ), JP2 (its signature box).
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
_RLE_START, _RLE_MAX_SEGMENTS = b"\x40\0\0\0", 15  # PS3.5 G.5: the number of segments, then the first one's offset, 64

Fragments = Sequence[memoryview]


class EncapsulatedFrames:
    """The compressed frames of a file.

    Args:
        data: the file.
        start: first byte of the value of the pixel data element.
        count: the number of frames that the header announces.
        extended_offsets: the values of the Extended Offset Table; empty if there is none.

    Raises:
        ImageDecodeError: the value is not a sequence of items, or its frames cannot be told apart.
        ImageTooLarge: there are more than `MAX_FRAGMENTS`.
    """

    def __init__(self, data: bytes, start: int, count: int, extended_offsets: Sequence[int]) -> None:
        items, self._is_cut = _read_items(data, start)
        places = [place - items[1][0] for place, _ in items[1:]]
        fragments = [value for _, value in items[1:]]
        self._last = fragments[-1] if fragments else None
        table = items[0][1] if items else b""
        offsets = np.frombuffer(table[: len(table) // 4 * 4], dtype="<u4").tolist()
        starts = _first_fragments(places, fragments, count, (offsets, extended_offsets))
        self._frames = [fragments[first:end] for first, end in pairwise([*starts, len(fragments)])]

    def codestream(self, index: int) -> bytes:
        """The bytes of one compressed frame, counted from 0.

        Raises:
            ImageDecodeError: the frame is missing or cut short.
        """
        if index >= len(self._frames):
            raise fewer_frames(len(self._frames))
        frame = self._frames[index]
        if self._is_cut and any(fragment is self._last for fragment in frame):
            raise ImageDecodeError("the DICOM file is cut short in its pixel data; send the complete file")
        return b"".join(frame)


def _read_items(data: bytes, start: int) -> tuple[list[tuple[int, memoryview]], bool]:
    """Place and value of each item, up to the delimiter or the end of the file; whether the last one is cut short."""
    view, position = memoryview(data), start
    items: list[tuple[int, memoryview]] = []
    while data[position : position + 4] == _ITEM:
        end = position + _HEADER_BYTES + int.from_bytes(data[position + 4 : position + _HEADER_BYTES], "little")
        items.append((position, view[position + _HEADER_BYTES : end]))
        is_padded = data[end : end + 1] == b"\0" and data[end + 1 : end + 5] in (_ITEM, _DELIMITER)
        position = end + is_padded  # some writers do not count the byte that makes a length even
        if len(items) > MAX_FRAGMENTS:
            raise ImageTooLarge(f"the pixel data of the DICOM file has more than {MAX_FRAGMENTS:,} fragments")
    if not items or data[position : position + 4] not in (_DELIMITER, b""):
        raise ImageDecodeError("the pixel data of the DICOM file is damaged: it is not a sequence of compressed frames")
    return items, position > len(data)


def _first_fragments(
    places: list[int], fragments: Fragments, count: int, tables: tuple[Sequence[int], ...]
) -> list[int]:
    """The number of the first fragment of each frame."""
    if count == 1 and fragments:
        return [0]
    if len(fragments) == count:
        return list(range(count))
    begun = [number for number, fragment in enumerate(fragments) if _begins_frame(fragment)]
    if len(begun) == count and begun[0] == 0:
        return begun
    fragment_at = {place: number for number, place in enumerate(places)}
    for offsets in tables:
        starts = [fragment_at.get(offset, -1) for offset in offsets]
        if len(starts) == count and starts[0] == 0 and all(earlier < later for earlier, later in pairwise(starts)):
            return starts
    if fragments and (not begun or begun[0] != 0):
        raise ImageDecodeError(
            "the frames of the DICOM file cannot be told apart: its offset table is missing or wrong"
        )
    return begun


def fewer_frames(count: int) -> ImageDecodeError:
    """The error for a frame that a file announces and does not contain."""
    return ImageDecodeError(
        "the DICOM file has fewer frames than its element Number of Frames (NumberOfFrames) says: it contains "
        f"{count:,}, counted from 0; choose one of them"
    )


def is_encapsulated(value: bytes) -> bool:
    """Whether a value begins with an item, or with a codestream other than RLE, whose first bytes may be pixels."""
    return value.startswith((_ITEM, *_STARTS))


def _begins_frame(fragment: memoryview) -> bool:
    head = bytes(fragment[:12])
    is_rle = head[4:8] == _RLE_START and 1 <= int.from_bytes(head[:4], "little") <= _RLE_MAX_SEGMENTS
    return is_rle or head.startswith(_STARTS)
