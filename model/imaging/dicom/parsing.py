"""DICOM files to data sets (PS3.5, PS3.10), with limits on elements, depth and inflated bytes.

pydicom parses the elements. It has no limits of its own: a few megabytes of tiny elements cost it seconds.
"""

import io
import logging
import warnings
import zlib
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
from model.imaging.limits import MAX_VOLUME_BYTES

Value = TypeVar("Value")

MAX_READS = 300_000  # of a header; an element takes two or three, so that this is nearly a second of CPU time
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
        data: the file's bytes, inflated if its transfer syntax is deflated.
        file_meta: the file meta information.
        dataset: the requested elements in front of the pixel data.
        syntax: the transfer syntax; that of the elements if the file does not name one.
        pixels: where the pixel data lies; None if the file has none.
    """

    data: bytes
    file_meta: Any
    dataset: Any
    syntax: UID
    pixels: PixelElement | None


def parse(data: bytes, keywords: tuple[str, ...]) -> ParsedFile:
    """Read the elements with the given keywords, up to the pixel data.

    Raises:
        ImageDecodeError: the elements cannot be read.
        ImageTooLarge: the header has too many elements, or the file inflates to more than `MAX_VOLUME_BYTES`.
    """
    _silence_pydicom()
    stream = BoundedStream(data)
    return guarded(stream, lambda: _parse(stream, data, keywords))


@cache
def tags(keywords: tuple[str, ...]) -> list[BaseTag | int]:
    """The tags of elements, which pydicom searches in the data dictionary."""
    return [Tag(keyword) for keyword in keywords]


def guarded(stream: "BoundedStream", read: Callable[[], Value]) -> Value:
    """Call a function that reads elements from a stream: pydicom raises almost anything for hostile bytes.

    Raises:
        ImageDecodeError: the elements cannot be read.
        ImageTooLarge: they are too many, or nested too deeply.
    """
    try:
        result = read()
    except InvalidInput:
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


def _parse(stream: "BoundedStream", data: bytes, keywords: tuple[str, ...]) -> ParsedFile:
    stream.seek(_PREFIX_PLACE.stop if data[_PREFIX_PLACE] == _PREFIX else 0)
    file_meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag.group != 2)
    named = text(file_meta, "TransferSyntaxUID")
    if named == DeflatedExplicitVRLittleEndian:
        data = data[: stream.tell()] + _inflate(data[stream.tell() :])
        stream.refill(data)
    encoding = UID(named) if named else _encoding(data[stream.tell() : stream.tell() + 6])
    dataset, pixels = _read_elements(stream, encoding, keywords)
    if stream.tell() > len(data):  # behind the end, because a whole element was skipped there
        raise ImageDecodeError("the DICOM file is cut short in its header; send the complete file")
    if not named:
        implicit, little = dataset.original_encoding
        encoding = _syntax(implicit=bool(implicit), little=bool(little))
    return ParsedFile(data, file_meta, dataset, encoding, pixels)


def _read_elements(
    stream: "BoundedStream", encoding: UID, keywords: tuple[str, ...]
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


def _inflate(deflated: bytes) -> bytes:
    """Inflate a data set (PS3.5 A.5), which has no zlib header."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(deflated, MAX_VOLUME_BYTES + 1)
    except zlib.error as error:
        raise ImageDecodeError("the DICOM file is damaged: its deflated data set cannot be inflated") from error
    if len(inflated) > MAX_VOLUME_BYTES:
        raise ImageTooLarge(f"the DICOM file inflates to more than {MAX_VOLUME_BYTES // 2**20} MiB")
    return inflated


@dataclass
class StepLimit:
    """How many more steps reading may take. Several streams may have the same limit.

    Args:
        left: the number of steps; negative if reading would take more.
    """

    left: int = MAX_READS


class BoundedStream(io.BytesIO):
    """A stream that ends when its steps are used up; each read is one.

    Args:
        data: the bytes.
        limit: the steps; default: `MAX_READS`.
    """

    def __init__(self, data: bytes, limit: StepLimit | None = None) -> None:
        super().__init__(data)
        self._limit = limit or StepLimit()

    @property
    def is_exhausted(self) -> bool:
        return self._limit.left < 0

    def refill(self, data: bytes) -> None:
        """Replace the bytes, of which those in front of the current position are unchanged."""
        position = self.tell()
        super().__init__(data)
        self.seek(position)

    def read(self, size: int | None = -1, /) -> bytes:
        self._limit.left -= 1
        if self._limit.left < 0:
            raise EOFError
        return super().read(size)


@cache
def _silence_pydicom() -> None:
    """Turn off the log and the warnings of pydicom, which quote the header."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    config.settings.reading_validation_mode = config.IGNORE
