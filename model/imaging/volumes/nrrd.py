"""NRRD files with attached header to volumes. A file without orientation is a picture, or a stack of pictures.

The format is defined at teem.sourceforge.net/nrrd/format.html. pynrrd parses only the header here. Its reader of values
inflates without a limit, and opens the files that a detached header names. This module opens no other file.
"""

import bz2
import math
import re
import zlib
from typing import Any

import nrrd
import numpy as np

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.limits import MAX_VOLUME_BYTES, volume_too_large
from model.imaging.volumes.reader import VolumeFile
from model.imaging.volumes.slices import Volume

MAX_HEADER_BYTES = 2**18
_HEADER_END = re.compile(rb"\n\r?\n")
_DETACHED = re.compile(rb"^data ?file[ \t]*:", re.IGNORECASE | re.MULTILINE)
# Only these lines reach pynrrd, which is slow on some of the other fields. A line with ":=" is a key, not a field.
_FIELD = re.compile(
    rb"(type|dimension|sizes|encoding|endian|kinds|space|space directions|(line|byte) ?skip)[ \t]*:(?!=)", re.IGNORECASE
)
_SKIPS = ("line skip", "lineskip", "byte skip", "byteskip")
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
_INFLATERS: dict[str, Any] = {
    **dict.fromkeys(("gz", "gzip"), lambda: zlib.decompressobj(16 + zlib.MAX_WBITS)),
    **dict.fromkeys(("bz2", "bzip2"), bz2.BZ2Decompressor),
}
_SPACE_KINDS = ("domain", "space", "none", "???")  # axes in space, unless they have no direction
_SERIES_KINDS = ("time", "list")  # axes of several volumes or pictures
_COLOUR_KINDS = ("rgb-color", "vector")
# Signs that turn the axes of a space to right, anterior and superior.
_SPACES = {"ras": (1, 1, 1), "las": (-1, 1, 1), "lps": (-1, -1, 1)}


def open_file(data: bytes, *, max_pixels: int) -> VolumeFile:
    """Open a NRRD file. Raises what `VolumeFile` raises."""
    return VolumeFile("NRRD", lambda: _volume(data), max_pixels)


def _volume(data: bytes) -> Volume:
    header, start = _header(data)
    sizes = _sizes(header)
    kind = _type(header)
    size_bytes = math.prod(sizes) * kind.itemsize
    if size_bytes > MAX_VOLUME_BYTES:
        raise volume_too_large()
    space, series, colours = _axes(header, kind, sizes)
    axes = [*space, *series]

    def read(place: tuple[Any, ...]) -> Any:
        values = np.frombuffer(_values(data, start, header, size_bytes), kind).reshape(sizes, order="F")
        values = values.transpose([*axes, *colours])
        if len(axes) == 2:
            values = values[:, :, np.newaxis]
        return (values[:, :, :, 0] if len(axes) == 4 else values)[place]

    shape = (*(sizes[axis] for axis in axes[:3]), 1)[:3]
    return Volume(shape, _affine(header, space), read)


def _header(data: bytes) -> tuple[dict[str, Any], int]:
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
    with np.errstate(invalid="ignore"):
        fields = nrrd.read_header([magic, *filter(_FIELD.match, lines)])
    header = {str(name).lower(): value for name, value in fields.items()}
    if any(header.get(name) for name in _SKIPS):
        raise ImageFormatUnsupported("the NRRD file skips lines or bytes before its values, which is not supported; "
                                     "save it without line skip and byte skip")  # fmt: skip
    if _name(header, "encoding") not in ("raw", *_INFLATERS):
        raise ImageFormatUnsupported("the NRRD file's encoding is not supported; save it as raw, gzip or bzip2")
    return header, len(head)


def _name(header: dict[str, Any], field: str) -> str:
    return str(header[field]).lower()


def _sizes(header: dict[str, Any]) -> list[int]:
    """The number of values along each axis; along the first axis, the index changes fastest."""
    if not 2 <= header["dimension"] <= 4 or header["dimension"] != len(header["sizes"]):
        raise ImageDecodeError("the NRRD file must have two to four dimensions and one size per dimension")
    sizes = [int(size) for size in header["sizes"]]
    if min(sizes) < 1:
        raise ImageDecodeError("the NRRD file has a size below 1; each size must be at least 1")
    return sizes


def _type(header: dict[str, Any]) -> "np.dtype[Any]":
    number = _TYPES.get(_name(header, "type"))
    if number is None:
        raise ImageFormatUnsupported(
            "the NRRD file's type is not supported; save it as an integer type, float or double"
        )
    order = _ORDERS[_name(header, "endian")] if number not in ("i1", "u1") else "|"
    return np.dtype(order + number)


def _axes(header: dict[str, Any], kind: "np.dtype[Any]", sizes: list[int]) -> tuple[list[int], list[int], list[int]]:
    """The numbers of the axes in space, of the axes of several volumes or pictures, and of the colour axis."""
    count = len(sizes)
    kinds = [str(one).lower() for one in header.get("kinds", ["domain"] * count)]
    directions = header.get("space directions", np.zeros((count, 1)))
    if not len(kinds) == len(directions) == count:
        raise ImageDecodeError("the NRRD file's kinds and space directions must be as many as its axes")
    colours = [axis for axis in (0, count - 1) if kinds[axis] in _COLOUR_KINDS]
    others = [axis for axis in range(count) if axis not in colours]
    if (
        any(sizes[axis] != 3 or kind != np.uint8 for axis in colours)
        or any(kinds[axis] not in (*_SPACE_KINDS, *_SERIES_KINDS) for axis in others)
        or len(colours) > 1
        or len(others) < 2
    ):
        raise ImageFormatUnsupported("the NRRD file contains vectors, matrices or colours other than 8-bit RGB; "
                                     "save it as numbers or as 8-bit RGB")  # fmt: skip
    series = [axis for axis in others if kinds[axis] in _SERIES_KINDS or np.isnan(directions[axis]).any()]
    return [axis for axis in others if axis not in series], series, colours


def _affine(header: dict[str, Any], space: list[int]) -> Any:
    """(4, 4), from indices to right, anterior and superior; None without three axes in one of `_SPACES`."""
    words = str(header.get("space", "")).lower().split("-")
    letters = words[0] if len(words) == 1 else "".join(word[:1] for word in words)
    signs = _SPACES.get(letters.removesuffix("t"))  # "t": the same space with time
    if signs is None or "space directions" not in header or len(space) < 3:
        return None
    affine = np.eye(4)
    affine[:3, :3] = (header["space directions"][space[:3], :3] * signs).T
    return affine


def _values(data: bytes, start: int, header: dict[str, Any], size_bytes: int) -> memoryview | bytes:
    """The values, `size_bytes` of them. At most one byte more is inflated, to notice a longer payload."""
    stored = memoryview(data)[start:]
    if _name(header, "encoding") == "raw":
        values, is_whole = stored[:size_bytes], True
    else:
        inflater = _INFLATERS[_name(header, "encoding")]()
        values = inflater.decompress(stored, size_bytes + 1)
        is_whole = inflater.eof
    if len(values) != size_bytes or not is_whole:
        raise ImageDecodeError("the NRRD file is damaged or cut short")
    return values
