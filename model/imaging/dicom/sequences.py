"""Items of DICOM sequences (PS3.5 7.5), read one at a time: a sequence may have a hundred thousand items."""

from typing import Any, Literal

from pydicom.datadict import keyword_for_tag
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence

from model.imaging.dicom.elements import unreadable
from model.imaging.dicom.parsing import guarded, tags
from model.imaging.dicom.streams import BoundedStream, StepLimit

_UNDEFINED_LENGTH, _HEADER_BYTES = 0xFFFFFFFF, 8  # tag and length of an item
_DELIMITERS = {True: b"\xfe\xff\xdd\xe0", False: b"\xff\xfe\xe0\xdd"}  # behind the last item, by little endian or not


def item(dataset: Any, keyword: str) -> Any:
    """The first item of a sequence as a data set; None if the element is absent or has no items.

    Raises:
        ImageDecodeError, ImageTooLarge: as `Items.read`.
    """
    return Items(dataset.get_item(keyword, keep_deferred=True)).read(0)


class Items:
    """The items of one sequence.

    Args:
        element: the sequence as it is in a data set; None has no items.
        keywords: the elements that are read of an item; default: all.
        limit: the steps that reading may take; default: `model.imaging.dicom.streams.MAX_READS`.
    """

    def __init__(self, element: Any, keywords: tuple[str, ...] = (), limit: StepLimit | None = None) -> None:
        value = None if element is None else element.value
        self._parsed = value if isinstance(value, Sequence) else ()
        self._keywords, self._element = keywords, element
        self._value = value if isinstance(value, bytes) else b""
        self._stream = BoundedStream(self._value, limit)
        self._starts = [0]  # of the items found so far, and of what follows them

    def read(self, index: int) -> Any:
        """One item as a data set, counted from 0; None if there are fewer. Items in front of it are passed over once.

        Raises:
            ImageDecodeError: the items cannot be read, or the element is empty and of another type.
            ImageTooLarge: they have too many elements.
        """
        if self._value:
            return guarded(self._stream, lambda: self._read(index))
        if self._element is not None and self._element.VR not in (None, "SQ", "UN"):  # its items cannot be found
            raise unreadable(keyword_for_tag(self._element.tag), "a sequence was expected")
        return self._parsed[index] if index < len(self._parsed) else None

    def _read(self, index: int) -> Any:
        while len(self._starts) <= index and self._is_item(self._starts[-1]):
            self._visit(len(self._starts) - 1, is_wanted=False)
        exists = index < len(self._starts) and self._is_item(self._starts[index])
        return self._visit(index, is_wanted=True) if exists else None

    def _is_item(self, start: int) -> bool:
        is_behind = start + _HEADER_BYTES > len(self._value)
        return not is_behind and self._value[start : start + 4] != _DELIMITERS[self._element.is_little_endian]

    def _visit(self, index: int, *, is_wanted: bool) -> Any:
        """Note where the next item starts. Only an item that is wanted, or of undefined length, is read."""
        order: Literal["little", "big"] = "little" if self._element.is_little_endian else "big"
        self._stream.seek(self._starts[index])
        length = int.from_bytes(self._stream.read(_HEADER_BYTES)[4:], order)
        end = None if length == _UNDEFINED_LENGTH else self._stream.tell() + length
        read = self._read_elements(end) if is_wanted or end is None else None
        if index == len(self._starts) - 1:
            self._starts.append(self._stream.tell() if end is None else end)
        return read

    def _read_elements(self, end: int | None) -> Any:
        """The elements from here to the end of the item, which is behind its delimiter if None."""

        def is_behind(*_element: object) -> bool:  # pydicom calls it behind the header of each element
            return end is not None and self._stream.tell() >= end + _HEADER_BYTES

        return read_dataset(
            self._stream,
            self._element.is_implicit_VR or self._element.VR == "UN",  # unknown VR is implicit (PS3.5 6.2.2)
            self._element.is_little_endian,
            stop_when=is_behind,  # given a length, pydicom reads on behind it where it skips elements
            specific_tags=tags(self._keywords),
            at_top_level=False,
        )
