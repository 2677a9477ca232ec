"""Items of DICOM sequences (PS3.5 7.5), read one at a time: a sequence may have a hundred thousand items."""

from typing import Any, Literal

from pydicom.charset import default_encoding
from pydicom.filereader import read_sequence_item
from pydicom.sequence import Sequence

from model.imaging.dicom.parsing import BoundedStream, guarded

_UNDEFINED_LENGTH, _HEADER_BYTES = 0xFFFFFFFF, 8  # tag and length of an item


def item(dataset: Any, keyword: str, index: int = 0) -> Any:
    """One item of a sequence as a data set; None if the element is absent, not a sequence, or has fewer items.

    Args:
        dataset: the data set that contains the sequence.
        keyword: the sequence.
        index: the item, from 0; default: the first.

    Raises:
        ImageDecodeError: the items cannot be read.
        ImageTooLarge: they have too many elements.
    """
    element = dataset.get_item(keyword)
    value = None if element is None else element.value
    if isinstance(value, Sequence):
        return value[index] if index < len(value) else None
    if not isinstance(value, bytes):
        return None
    stream = BoundedStream(value)
    is_implicit = element.is_implicit_VR or element.VR == "UN"  # PS3.5 6.2.2: a sequence of unknown VR is implicit
    return guarded(stream, lambda: _read_item(stream, index, is_implicit, element.is_little_endian))


def _read_item(stream: BoundedStream, index: int, is_implicit: bool, is_little: bool) -> Any:
    order: Literal["little", "big"] = "little" if is_little else "big"
    for _ in range(index):
        start = stream.tell()
        length = int.from_bytes(stream.read(_HEADER_BYTES)[4:], order)
        if length == _UNDEFINED_LENGTH:
            stream.seek(start)
            read_sequence_item(stream, is_implicit, is_little, default_encoding)
        else:
            stream.seek(start + _HEADER_BYTES + length)
    is_at_item = stream.tell() + _HEADER_BYTES <= len(stream.getbuffer())
    return read_sequence_item(stream, is_implicit, is_little, default_encoding) if is_at_item else None
