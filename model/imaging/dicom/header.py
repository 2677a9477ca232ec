"""The header of a DICOM file: only the elements that rendering needs, checked before any pixel is decoded."""

import re
from typing import Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_partial
from pydicom.pixels import get_decoder
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RTDoseStorage,
    UID_dictionary,
)

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.limits import too_many_pixels

MAX_SAMPLES_PER_PIXEL = 4
_PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_DEFLATED = re.compile(rb"%b(?![\d.])" % re.escape(DeflatedExplicitVRLittleEndian.encode()))
_NO_PICTURES = frozenset({RTDoseStorage})  # its pixels are doses in gray (Gy)
# The Image Pixel module (PS3.3 C.7.6.3), the LUTs and windows (C.11.1, C.11.2), and the functional groups (C.7.6.16).
_HEADER_KEYWORDS = (
    "SOPClassUID", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "VOILUTSequence", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


def read_header(data: bytes, max_pixels: int, *, with_pixels: bool) -> Any:
    """Read and check a data set, reduced to the elements that rendering needs.

    Args:
        data: the whole file.
        max_pixels: limit for one frame.
        with_pixels: True also reads the encoded pixel data; False stops in front of it.

    Returns:
        A pydicom data set whose file meta information has a transfer syntax.

    Raises:
        ImageDecodeError: the header has no valid size.
        ImageFormatUnsupported: the file contains no picture, or its transfer syntax is not supported.
        ImageTooLarge: a frame has more than `max_pixels`.
    """
    if _DEFLATED.search(data):  # pydicom would inflate the whole data set, without a limit
        raise _unsupported(DeflatedExplicitVRLittleEndian)
    found: list[str] = []

    def at_pixels(tag: Any, _vr: str | None, _length: int) -> bool:
        keyword = keyword_for_tag(tag)
        if keyword in _PIXEL_KEYWORDS:
            found.append(keyword)
        return bool(found) and not with_pixels

    keywords = [*_HEADER_KEYWORDS, *(_PIXEL_KEYWORDS if with_pixels else ())]
    tags = [Tag(keyword) for keyword in keywords]
    dataset = read_partial(DicomBytesIO(data), stop_when=at_pixels, force=True, specific_tags=tags)
    if not found or dataset.get("SOPClassUID") in _NO_PICTURES or not dataset.get("Rows"):
        raise ImageFormatUnsupported(f"the DICOM file contains no picture (SOP class: {_sop_class(dataset)})")
    _check_transfer_syntax(dataset)
    _check_size(dataset, max_pixels)
    return dataset


def _check_size(dataset: Any, max_pixels: int) -> None:
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel", 1))
    if rows < 1 or columns < 1 or not 1 <= samples <= MAX_SAMPLES_PER_PIXEL:
        raise ImageDecodeError("the DICOM header has no valid size: Rows and Columns must be at least 1, and "
                               f"SamplesPerPixel from 1 to {MAX_SAMPLES_PER_PIXEL}")  # fmt: skip
    if rows * columns > max_pixels:
        raise too_many_pixels(max_pixels)


def _check_transfer_syntax(dataset: Any) -> None:
    """Set the transfer syntax if the file does not say it, and refuse one that no installed decoder reads."""
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is None:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
        if not hasattr(dataset, "file_meta"):
            dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
    try:
        supported = get_decoder(syntax).is_available
    except NotImplementedError:
        supported = False
    if not supported:
        raise _unsupported(syntax)


def _unsupported(syntax: str) -> ImageFormatUnsupported:
    """The error for a transfer syntax. It repeats only registered names (PS3.6 annex A), never a private UID."""
    name = UID(syntax).name if syntax in UID_dictionary else "unknown"
    return ImageFormatUnsupported(f"the DICOM file has an unsupported transfer syntax ({name}); send it uncompressed")


def _sop_class(dataset: Any) -> str:
    uid = dataset.get("SOPClassUID")
    return UID(uid).name if uid in UID_dictionary else "unknown"
