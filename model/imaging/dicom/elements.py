"""Lenient values of header elements: whatever a writer made of them, reading one never raises a foreign exception.

pydicom converts an element when it is accessed, and raises when its text is not a number. These functions read the
bytes of the element themselves. An element that is absent, empty or unreadable gives no value.
"""

import math
import re
import struct
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_description, dictionary_VR
from pydicom.tag import Tag

from model.errors import ImageDecodeError

MAX_VALUES = 1024  # values that are read per element; rendering needs few
_FORMATS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_TEXTS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR",
                    "UT"})  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d{1,64}\.?\d{0,64}|\.\d{1,64})([eE][+-]?\d{1,3})?", re.ASCII)
_PADDING = " \0\t\r\n"


def numbers(dataset: Any, keyword: str) -> list[float]:
    """The readable values of a numeric element; empty if there are none.

    Every VR is read: text, integers, floats, and bytes (OB, OW, UN) as the VR of the data dictionary. A decimal comma
    is read as a point. "US or SS" is unsigned where the file does not say it.

    Values that are not finite numbers are left out, and do not spoil the others. `numbers_by_place` keeps their places.
    """
    return [value for value in numbers_by_place(dataset, keyword) if value is not None]


def numbers_by_place(dataset: Any, keyword: str) -> list[float | None]:
    """As `numbers`, with None in the place of each unreadable value: for elements whose values belong together."""
    return [_finite(value) for value in _values(dataset, keyword)]


def number(dataset: Any, keyword: str, default: float) -> float:
    """The first readable value of a numeric element, or the default."""
    return next(iter(numbers(dataset, keyword)), default)


def required_integer(dataset: Any, keyword: str) -> int:
    """The first value of an element that must be an integer.

    Raises:
        ImageDecodeError: the element is absent or empty, or its first value is not an integer.
    """
    first = next(iter(numbers_by_place(dataset, keyword)), None)
    if first is not None and first.is_integer():
        return int(first)
    if is_empty(dataset, keyword):
        raise missing(keyword)
    raise unreadable(keyword, "an integer was expected")


def text(dataset: Any, keyword: str, default: str = "") -> str:
    """The first value of a text element in upper case, without padding; the default if it is absent or empty."""
    first = next((value for value in _values(dataset, keyword) if isinstance(value, str)), "")
    return first.strip(_PADDING).upper() or default


def required_text(dataset: Any, keyword: str) -> str:
    """As `text`, for an element that must have a value.

    Raises:
        ImageDecodeError: the element is absent or empty.
    """
    value = text(dataset, keyword)
    if not value:
        raise missing(keyword)
    return value


def data_bytes(dataset: Any, keyword: str) -> int:
    """The length of an element that consists of bytes or 16-bit words; 0 if it is absent."""
    value = _stored_value(dataset, keyword)
    return len(value) if isinstance(value, bytes) else 2 * len(_values(dataset, keyword, limit=None))


def data(dataset: Any, keyword: str, item_bytes: int, limit: int) -> NDArray[Any]:
    """The first items of an element that consists of bytes or 16-bit words, as uint8 or uint16.

    In a big endian file, bytes that are packed two per word are swapped, unless the VR is OB (PS3.5 7.3).

    Args:
        dataset: the data set that has the element.
        keyword: the element. If it is absent, the result is empty.
        item_bytes: 1 or 2.
        limit: the largest number of items.
    """
    value = _stored_value(dataset, keyword)
    if not isinstance(value, bytes):  # converted by pydicom: integers, or nothing
        integers = [item % 2**16 for item in _values(dataset, keyword, limit) if isinstance(item, int)]
        return np.array(integers, "<u2").view(f"<u{item_bytes}")[:limit]
    value = value[: item_bytes * limit + 1]
    order = "<" if is_little_endian(dataset, keyword) else ">"
    if item_bytes == 1 and order == ">" and dataset.get_item(keyword).VR != "OB":
        return np.frombuffer(value + b"\0" * (len(value) % 2), ">u2").astype("<u2").view("u1")[:limit]
    return np.frombuffer(value, f"{order}u{item_bytes}", count=len(value) // item_bytes)[:limit]


def is_empty(dataset: Any, keyword: str) -> bool:
    """Whether an element is absent, or has no value; spaces are no value of a text."""
    value = _stored_value(dataset, keyword)
    if isinstance(value, bytes) and _vr(dataset, keyword) in _TEXTS:
        value = value.decode("latin-1")
    return not value.strip(_PADDING) if isinstance(value, str) else value is None or value in (b"", [])


def missing(keyword: str) -> ImageDecodeError:
    """The error for an element that a file lacks."""
    return ImageDecodeError(f"the DICOM file lacks the element {named(keyword)}; send the complete file")


def unreadable(keyword: str, expected: str) -> ImageDecodeError:
    """The error for an element whose value cannot be used; `expected` is a clause, as "an integer was expected"."""
    return ImageDecodeError(f"the DICOM file has an unreadable value in the element {named(keyword)}; {expected}")


def named(keyword: str) -> str:
    """Name and keyword of an element (PS3.6), for a message."""
    return f"{dictionary_description(keyword)} ({keyword})"


def _values(dataset: Any, keyword: str, limit: int | None = MAX_VALUES) -> list[Any]:
    """The first values of an element: numbers, texts, or other objects."""
    value = _stored_value(dataset, keyword)
    if isinstance(value, bytes):
        form = _FORMATS.get(_vr(dataset, keyword))
        if form is not None:
            order, size = "<" if is_little_endian(dataset, keyword) else ">", struct.calcsize(form)
            whole = value[: len(value) // size * size][: limit and size * limit]
            return [item for (item,) in struct.iter_unpack(order + form, whole)]
        value = value.decode("latin-1")
    if isinstance(value, str):
        return value.split("\\", limit or -1)[:limit]
    return list(value)[:limit] if isinstance(value, Iterable) else [] if value is None else [value]


def _finite(value: object) -> float | None:
    if isinstance(value, str):
        stripped = value.strip(_PADDING).replace(",", ".")
        value = float(stripped) if _NUMBER.fullmatch(stripped) else None
    if isinstance(value, int) and value.bit_length() > 64:  # float() raises for very large integers
        return None
    return float(value) if isinstance(value, int | float | Decimal) and math.isfinite(value) else None


def _stored_value(dataset: Any, keyword: str) -> Any:
    element = dataset.get_item(keyword, keep_deferred=True)
    return None if element is None else element.value


def is_little_endian(dataset: Any, keyword: str) -> bool:
    """The byte order of an element's bytes. Data sets that were not read from a file are little endian."""
    element = dataset.get_item(keyword, keep_deferred=True)
    little = getattr(element, "is_little_endian", None)
    return (dataset.original_encoding[1] if little is None else little) is not False


def _vr(dataset: Any, keyword: str) -> str:
    """The VR to read an element by: the file's if it names a type of values, otherwise the data dictionary's."""
    element = dataset.get_item(keyword, keep_deferred=True)
    written = None if element is None else element.VR
    vr = written if written in _FORMATS or written in _TEXTS else dictionary_VR(Tag(keyword))
    return str(vr)[:2]  # of "US or SS" the first
