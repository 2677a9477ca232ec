"""Lookup tables of DICOM: one set of rules for modality LUTs, VOI LUTs and palettes.

PS3.3 C.11.1.1, C.11.2.1.1 and C.7.6.3.1.5 describe them alike: a descriptor of three values (number of entries, first
value mapped, bits per entry), and the entries, which are unsigned. Writers often break the rules for the width of the
entries, so that the length of the data decides how they are stored, and their values decide how wide they are.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import ImageDecodeError
from model.imaging.dicom import elements
from model.imaging.windowing import Values

MAX_ENTRIES = 2**16
_BYTE_BITS = 8


@dataclass(frozen=True)
class Descriptor:
    """The three values of a descriptor.

    Args:
        entries: number of entries, 1 to 65,536.
        first: the first value mapped.
        bits: bits per entry as declared, which may be wrong.
    """

    entries: int
    first: int
    bits: int


@dataclass(frozen=True)
class LookupTable:
    """A function from integers to entries.

    Args:
        descriptor: as the file has it.
        entries: uint8 if the file has one byte per entry, otherwise uint16. They may be fewer than the descriptor says.
        keyword: the element of the entries, for messages.
    """

    descriptor: Descriptor
    entries: NDArray[Any]
    keyword: str

    def __call__(self, values: Values) -> NDArray[Any]:
        """The entries of values of any shape. Values outside the table have its first or last entry.

        A value between two integers has the entry of the lower one. NaN has the first entry.

        Raises:
            ImageDecodeError: the file lacks the entry of a value.
        """
        first, last = self.descriptor.first, self.descriptor.entries - 1
        if values.dtype.kind == "f":
            values = np.floor(np.clip(np.nan_to_num(values, nan=first), first, first + last))
        places = values.astype(np.int64)
        np.clip(np.subtract(places, first, out=places), 0, last, out=places)
        if self.entries.size <= last and places.size and places.max() >= self.entries.size:
            raise _entries_missing(self.keyword)
        return self.entries[places]

    @property
    def highest_bits(self) -> int:
        """Bits of the largest entry, at least 8, which is the least that the standard allows."""
        return max(_BYTE_BITS, int(self.entries.max()).bit_length())


def read_table(dataset: Any, descriptor_keyword: str, data_keyword: str, *, signed: bool) -> LookupTable | None:
    """Read a lookup table; None if its descriptor or data is absent or empty.

    Where there are as many bytes as entries, each entry is a byte. Otherwise each is a word. The descriptor and the VR
    do not decide that.

    Args:
        dataset: the data set or sequence item that has the table.
        descriptor_keyword: its element with the descriptor.
        data_keyword: its element with the entries.
        signed: whether the values that go in can be negative.

    Raises:
        ImageDecodeError: the descriptor does not have three integers, or there are too few bytes to tell how the
            entries are stored.
    """
    if elements.is_empty(dataset, descriptor_keyword) or elements.is_empty(dataset, data_keyword):
        return None
    descriptor = read_descriptor(dataset, descriptor_keyword, signed=signed)
    length = elements.data_bytes(dataset, data_keyword)
    packed = descriptor.entries > 1 and length in (descriptor.entries, descriptor.entries + 1)
    if descriptor.bits <= _BYTE_BITS and length < descriptor.entries:
        raise _entries_missing(data_keyword)
    entries = elements.data(dataset, data_keyword, 1 if packed else 2, descriptor.entries)
    return LookupTable(descriptor, entries, data_keyword) if entries.size else None


def read_descriptor(dataset: Any, keyword: str, *, signed: bool) -> Descriptor:
    """Read a descriptor. The VR does not decide the sign of the first value mapped, which writers confuse.

    Raises:
        ImageDecodeError: it does not have three integers of 16 bits.
    """
    values = elements.numbers_by_place(dataset, keyword)[:3]
    words = [int(value) % 2**16 for value in values if value is not None and _is_word(value)]
    if len(words) < 3:
        raise elements.unreadable(keyword, "three integers of 16 bits were expected")
    entries, first, bits = words
    return Descriptor(entries or MAX_ENTRIES, first - 2**16 if signed and first >= 2**15 else first, bits)


def _entries_missing(keyword: str) -> ImageDecodeError:
    return ImageDecodeError(
        f"the DICOM file lacks entries of the lookup table in the element {elements.named(keyword)}; "
        "send the complete file"
    )


def _is_word(value: float) -> bool:
    return value.is_integer() and -(2**15) <= value <= 2**16
