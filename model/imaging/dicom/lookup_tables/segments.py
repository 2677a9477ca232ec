"""Segmented palettes: entries given by values, lines and copies (PS3.3 C.7.9.2).

The number of entries in the descriptor bounds what is expanded: a few segments can announce gigabytes.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from model.imaging.dicom import elements
from model.imaging.dicom.lookup_tables.tables import MAX_ENTRIES, LookupTable, read_descriptor

_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2  # opcodes
_MAX_ITEMS = 4 * MAX_ENTRIES  # a segment of one entry has three items


def read_segmented_table(dataset: Any, descriptor_keyword: str, data_keyword: str, *, signed: bool) -> LookupTable:
    """Read a table from segments. Segments of bytes and of words are tried, those of the declared width first.

    Raises:
        ImageDecodeError: the segments do not give the number of entries that the descriptor says.
    """
    descriptor = read_descriptor(dataset, descriptor_keyword, signed=signed)
    for item_bytes in (1, 2) if descriptor.bits <= 8 else (2, 1):
        values = elements.data(dataset, data_keyword, item_bytes, _MAX_ITEMS)
        expanded = _expand(values.tobytes(), values.dtype, descriptor.entries)
        if expanded is not None:
            return LookupTable(descriptor, np.frombuffer(expanded, values.dtype), data_keyword)
    raise elements.unreadable(data_keyword, "segments that give all entries of the table were expected")


@lru_cache(maxsize=8)  # the frames of a file share its three tables
def _expand(data: bytes, kind: "np.dtype[Any]", count: int) -> bytes | None:
    """The first `count` entries that segments give; None if they are invalid or give fewer."""
    values: list[int] = np.frombuffer(data, kind).tolist()
    entries: list[int] = []
    for position in _segments(values, kind.itemsize):
        opcode, length = values[position : position + 2]
        if opcode == _DISCRETE:
            entries += values[position + 2 : position + 2 + length]
        elif entries:
            entries += _line(entries[-1], values[position + 2], length)
        else:  # a line begins at the entry in front of it
            return None
        if len(entries) >= count:
            return np.array(entries[:count], kind).tobytes()
    return None


def _line(start: int, end: int, length: int) -> list[int]:
    """The entries of a linear segment, without its start."""
    return [round(start + (end - start) * step / length) for step in range(1, length + 1)]


def _segments(values: list[int], item_bytes: int) -> Iterator[int]:
    """Positions of the discrete and linear segments, in the order of their entries; ends at the first invalid one.

    Indirect segments give segments in front of them once more. Those that refer to other indirect segments are invalid
    (PS3.3 C.7.9.2.3). Every segment gives at least one entry, which bounds the number of positions that are used.
    """
    position, ends = 0, dict[int, int]()
    while (end := _end(values, position, item_bytes)) is not None:
        if values[position] != _INDIRECT:
            ends[position] = end
            yield position
        else:
            offset_items = values[position + 2 : end]  # a byte offset of 32 bits, least significant part first
            offset = sum(item << (8 * item_bytes * place) for place, item in enumerate(offset_items))
            copied, part = divmod(offset, item_bytes)
            for _ in range(values[position + 1]):
                if part or copied not in ends:
                    return
                yield copied
                copied = ends[copied]
        position = end


def _end(values: list[int], position: int, item_bytes: int) -> int | None:
    """The position behind a segment; None if it is invalid, empty or cut short."""
    if position + 2 > len(values) or not values[position + 1]:
        return None
    sizes = {_DISCRETE: values[position + 1], _LINEAR: 1, _INDIRECT: 4 // item_bytes}
    end = position + 2 + sizes.get(values[position], len(values))
    return end if end <= len(values) else None
