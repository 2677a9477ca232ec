"""DICOM files to data sets (PS3.5, PS3.10), with limits on elements, depth and inflated bytes.

pydicom parses the elements. It has no limits of its own: a few megabytes of tiny elements cost it seconds.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import VR

from model.errors import ImageDecodeError, ImageTooLarge, InvalidInput
from model.imaging.dicom.elements import text
from model.imaging.dicom.streams import MAX_READS, BoundedStream

Value = TypeVar("Value")

_PIXEL_KEYWORDS = {0x7FE0_0010: "PixelData", 0x7FE0_0008: "FloatPixelData", 0x7FE0_0009: "DoubleFloatPixelData"}
_PREFIX_PLACE, _PREFIX, _UNDEFINED_LENGTH = slice(128, 132), b"DICM", 0xFFFFFFFF
_VALUE_REPRESENTATIONS = frozenset(vr.value.encode() for vr in VR)


@dataclass(frozen=True)
class PixelElement:
    """Where the value of the pixel data element lies in the file.

    Args:
        keyword: PixelData, FloatPixelData or DoubleFloatPixelData.
        vr: value representation as written; None in implicit VR.
        start: first byte of the value.
        length: bytes of the value; None where it is undefined, which means that the pixel data is encapsulated.
    """

    keyword: str
    vr: str | None
    start: int
    length: int | None


@dataclass(frozen=True)
class ParsedFile:
    """A parsed DICOM file.

    Args:
        load: returns the bytes in which the pixel data lies. The first call inflates a deflated file to its end.
        file_meta: the file meta information.
        dataset: the requested elements in front of the pixel data.
        syntax: the transfer syntax; that of the elements if the file does not name one.
        pixels: where the pixel data lies; None if the file has none.
    """

    load: Callable[[], bytes]
    file_meta: Any
    dataset: Any
    syntax: UID
    pixels: PixelElement | None


def parse(data: bytes, keywords: tuple[str, ...]) -> ParsedFile:
    """Read the elements with the given keywords, up to the pixel data.

    Raises:
        ImageDecodeError: the elements cannot be read.
        ImageTooLarge: the header has too many elements, or inflates to more than
            `model.imaging.limits.MAX_VOLUME_BYTES`.
    """
    _silence_pydicom()
    stream = BoundedStream(data)
    return guarded(stream, lambda: _parse(stream, data, keywords))


@cache
def tags(keywords: tuple[str, ...]) -> list[BaseTag | int]:
    """The tags of elements, which pydicom searches in the data dictionary."""
    return [Tag(keyword) for keyword in keywords]


def guarded(stream: BoundedStream, read: Callable[[], Value]) -> Value:
    """Call a function that reads elements from a stream: pydicom raises almost anything for hostile bytes.

    Raises:
        ImageDecodeError: the elements cannot be read.
        ImageTooLarge: they are too many, or nested too deeply.
    """
    try:
        result = read()
    except (InvalidInput, MemoryError):
        raise
    except Exception as error:
        if stream.is_exhausted:
            raise _too_many_elements() from error
        if isinstance(error, RecursionError) or isinstance(error.__context__, RecursionError):
            raise ImageTooLarge("the DICOM header nests its sequences too deeply") from error
        raise ImageDecodeError(
            "the DICOM header is damaged: its elements cannot be read; send the file again"
        ) from error
    if stream.is_exhausted:
        raise _too_many_elements()
    return result


def _too_many_elements() -> ImageTooLarge:
    return ImageTooLarge(f"the DICOM header has too many elements; reading it takes over {MAX_READS:,} steps")


def _parse(stream: BoundedStream, data: bytes, keywords: tuple[str, ...]) -> ParsedFile:
    stream.seek(_PREFIX_PLACE.stop if data[_PREFIX_PLACE] == _PREFIX else 0)
    file_meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag.group != 2)
    named = text(file_meta, "TransferSyntaxUID")
    is_deflated = named == DeflatedExplicitVRLittleEndian
    if is_deflated:
        stream.inflate(memoryview(data)[stream.tell() :])
    encoding = UID(named) if named else _encoding(data[stream.tell() : stream.tell() + 6])
    dataset, pixels = _read_elements(stream, encoding, keywords)
    if stream.is_behind_end():  # because a whole element was skipped there
        raise ImageDecodeError("the DICOM file is cut short in its header; send the complete file")
    if not named:
        implicit, little = dataset.original_encoding
        encoding = _syntax(implicit=bool(implicit), little=bool(little))
    return ParsedFile(stream.load if is_deflated else lambda: data, file_meta, dataset, encoding, pixels)


def _read_elements(
    stream: BoundedStream, encoding: UID, keywords: tuple[str, ...]
) -> tuple[Dataset, PixelElement | None]:
    found: PixelElement | None = None

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        nonlocal found
        keyword = _PIXEL_KEYWORDS.get(tag)
        if keyword is None:
            return False
        found = PixelElement(keyword, vr, stream.tell(), None if length == _UNDEFINED_LENGTH else length)
        return True

    dataset = read_dataset(
        stream,
        encoding == ImplicitVRLittleEndian,
        encoding != ExplicitVRBigEndian,
        stop_when=at_pixels,
        specific_tags=tags(keywords),
    )
    return dataset, found


def _encoding(head: bytes) -> UID:
    """The encoding of a data set without file meta information, by its first element, as pydicom guesses it."""
    if head[4:6] not in _VALUE_REPRESENTATIONS:
        return ImplicitVRLittleEndian
    return _syntax(implicit=False, little=int.from_bytes(head[:2], "little") < 2**10)


def _syntax(*, implicit: bool, little: bool) -> UID:
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else explicit


@cache
def _silence_pydicom() -> None:
    """Turn off the log and the warnings of pydicom, which quote the header."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    config.settings.reading_validation_mode = config.IGNORE
