"""Headers of NRRD files: the fields that a picture needs, each checked by itself.

The format is defined at teem.sourceforge.net/nrrd/format.html. Fields that do not change a picture are not read.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.volumes.compression import BZIP2, GZIP, Compression

MAX_HEADER_BYTES = 2**18
_MAX_DIMENSION = 16  # as in Teem
_MAGIC = re.compile(rb"NRRD00(0[1-5]|\.01)\s*$")
_HEADER_END = re.compile(rb"\n\r?\n")
_DETACHED = re.compile(rb"^data ?file[ \t]*:", re.IGNORECASE | re.MULTILINE)
# A line with ":=" is a key, not a field.
_FIELD = re.compile(
    rb"(type|dimension|sizes|encoding|endian|kinds|space|space directions|(?:line|byte) ?skip)[ \t]*:(?!=)(.*)",
    re.IGNORECASE,
)
_SKIPS = ("line skip", "lineskip", "byte skip", "byteskip")
_NATURAL_NUMBER = re.compile(r"\+?[0-9]{1,18}")
_VECTOR = re.compile(r"\s*(?:none|\(([^()]{0,512})\))\s*", re.IGNORECASE)
_TYPES = {
    name: number
    for number, names in {
        "i1": "signed char, int8, int8_t",
        "u1": "uchar, unsigned char, uint8, uint8_t",
        "i2": "short, short int, signed short, signed short int, int16, int16_t",
        "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
        "i4": "int, signed int, int32, int32_t",
        "u4": "uint, unsigned int, uint32, uint32_t",
        "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
        "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(", ")
}
_ORDERS = {"little": "<", "big": ">"}
_COMPRESSIONS = {
    "raw": None,
    **dict.fromkeys(("gz", "gzip"), GZIP),
    **dict.fromkeys(("bz2", "bzip2"), BZIP2),
}


@dataclass(frozen=True)
class NrrdHeader:
    """What a NRRD header says about its values."""

    kind: "np.dtype[Any]"
    sizes: tuple[int, ...]  # along each axis; along the first one, the index changes fastest
    compression: Compression | None  # None: the values are raw
    values_place: int  # of the first byte behind the header
    kinds: tuple[str, ...]  # of each axis, in lower case
    space: str  # in lower case; "" if the header does not name it
    directions: tuple[tuple[float, ...] | None, ...]  # of each axis; None for an axis that is not in space

    @property
    def size_bytes(self) -> int:
        """Size of all values."""
        return math.prod(self.sizes) * self.kind.itemsize


def read_header(data: bytes) -> NrrdHeader:
    """Read the header at the start of a file.

    Raises:
        ImageDecodeError: the header is cut short, lacks a field, or a field has a value that is not allowed.
        ImageFormatUnsupported: the values lie in another file, or are stored in a way that is not read.
    """
    fields, values_place = _fields(data)
    if any(fields.get(name, "0") not in ("0", "") for name in _SKIPS):
        raise ImageFormatUnsupported("the NRRD file skips lines or bytes before its values, which is not supported; "
                                     "save it without line skip and byte skip")  # fmt: skip
    encoding = _required(fields, "encoding").lower()
    if encoding not in _COMPRESSIONS:
        raise ImageFormatUnsupported("the NRRD file's encoding is not supported; save it as raw, gzip or bzip2")
    sizes = _sizes(fields)
    kinds = tuple(fields.get("kinds", " ".join(["domain"] * len(sizes))).lower().split())
    directions = _directions(fields.get("space directions", " ".join(["none"] * len(sizes))))
    for name, values in (("kinds", kinds), ("space directions", directions)):
        if len(values) != len(sizes):
            raise ImageDecodeError(f"the NRRD file's {name} must be as many as its axes")
    space = fields.get("space", "").lower()
    return NrrdHeader(_type(fields), sizes, _COMPRESSIONS[encoding], values_place, kinds, space, directions)


def _fields(data: bytes) -> tuple[dict[str, str], int]:
    """The fields of the header by their lower-case names, and the offset of the values in bytes."""
    head = data[:MAX_HEADER_BYTES]
    end = _HEADER_END.search(head)
    if end is None and len(data) > len(head):
        raise ImageDecodeError(f"the NRRD file's header must end within its first {MAX_HEADER_BYTES:,} bytes")
    head = head[: end.end()] if end else head
    if _DETACHED.search(head):
        raise ImageFormatUnsupported("the NRRD file's header names other files, which are never opened; "
                                     "save header and values in one .nrrd file")  # fmt: skip
    magic, *lines = head.split(b"\n")
    if not _MAGIC.match(magic):
        raise ImageFormatUnsupported("the NRRD file's version is not supported; save it in one of the versions 1 to 5")
    fields: dict[str, str] = {}
    for field in filter(None, map(_FIELD.match, lines)):
        name = field[1].decode("ascii").lower()
        if name in fields:
            raise ImageDecodeError(f"the NRRD file's header contains the field {name} twice")
        fields[name] = field[2].decode("latin-1").strip()
    return fields, len(head)


def _required(fields: dict[str, str], name: str) -> str:
    if not fields.get(name):
        raise ImageDecodeError(f"the NRRD file's header lacks the field {name}")
    return fields[name]


def _sizes(fields: dict[str, str]) -> tuple[int, ...]:
    words = _required(fields, "sizes").split()
    dimension = _required(fields, "dimension")
    if not _NATURAL_NUMBER.fullmatch(dimension) or not 2 <= int(dimension) <= _MAX_DIMENSION:
        raise ImageDecodeError(f"the NRRD file's dimension must be a number from 2 to {_MAX_DIMENSION}")
    if len(words) != int(dimension):
        raise ImageDecodeError("the NRRD file's dimension and sizes contradict each other; there must be one size per "
                               "dimension")  # fmt: skip
    sizes = [int(word) if _NATURAL_NUMBER.fullmatch(word) else 0 for word in words]
    if min(sizes) < 1:
        raise ImageDecodeError("the NRRD file's sizes must be whole numbers; each size must be at least 1")
    return tuple(sizes)


def _type(fields: dict[str, str]) -> "np.dtype[Any]":
    number = _TYPES.get(_required(fields, "type").lower())
    if number is None:
        raise ImageFormatUnsupported(
            "the NRRD file's type is not supported; save it as an integer type, float or double"
        )
    if number in ("i1", "u1"):
        return np.dtype(number)
    order = _ORDERS.get(_required(fields, "endian").lower())
    if order is None:
        raise ImageDecodeError("the NRRD file's endian must be little or big")
    return np.dtype(order + number)


def _directions(text: str) -> tuple[tuple[float, ...] | None, ...]:
    """One vector per axis. The word "none", and a vector of which every number is NaN, stand for no direction."""
    directions: list[tuple[float, ...] | None] = []
    place = 0
    while place < len(text) and len(directions) <= _MAX_DIMENSION:
        word = _VECTOR.match(text, place)
        if word is None:
            raise _unreadable_directions()
        vector = None if word[1] is None else _vector(word[1])
        directions.append(None if vector is None or all(map(math.isnan, vector)) else vector)
        place = word.end()
    vectors = [vector for vector in directions if vector is not None]
    if len({len(vector) for vector in vectors}) > 1 or not all(map(math.isfinite, sum(vectors, ()))):
        raise _unreadable_directions()
    return tuple(directions)


def _vector(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError as error:
        raise _unreadable_directions() from error


def _unreadable_directions() -> ImageDecodeError:
    return ImageDecodeError("the NRRD file's space directions must be vectors of the same length, such as (1,0,0), of "
                            "finite numbers, or none")  # fmt: skip
