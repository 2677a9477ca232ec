"""The header of a DICOM file: only the elements that rendering needs, checked before any pixel is decoded."""

from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID, MediaStorageDirectoryStorage, RTDoseStorage, UID_dictionary

from model.errors import ImageFormatUnsupported
from model.imaging.dicom.elements import text
from model.imaging.dicom.image_pixel import ImagePixel, read_image_pixel
from model.imaging.dicom.parsing import ParsedFile, PixelElement, parse
from model.imaging.dicom.pixel_data.decoders import can_decode

_NO_PICTURES = frozenset({RTDoseStorage})  # its pixels are doses in gray (Gy)
# The Image Pixel module (PS3.3 C.7.6.3), the LUTs and windows (C.11.1, C.11.2), and the functional groups (C.7.6.16).
_KEYWORDS = (
    "SOPClassUID", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit", "DoubleFloatPixelPaddingValue",
    "DoubleFloatPixelPaddingRangeLimit", "PixelPresentation", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData", "ExtendedOffsetTable",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """A checked header.

    Args:
        file: the parsed file.
        element: its pixel data element.
        image: its Image Pixel module.
    """

    file: ParsedFile
    element: PixelElement
    image: ImagePixel

    @property
    def dataset(self) -> Any:
        """The elements that rendering needs, as a pydicom data set."""
        return self.file.dataset


def read_header(data: bytes, max_pixels: int) -> Header:
    """Read and check the header of a file.

    Args:
        data: the file, at least up to the beginning of its pixel data.
        max_pixels: limit for one frame.

    Raises:
        ImageDecodeError: the header is damaged, lacks an element, or contradicts itself.
        ImageFormatUnsupported: the file contains no picture, or its transfer syntax is not supported.
        ImageTooLarge: a frame has more than `max_pixels`, or the header has too many elements.
    """
    file = parse(data, _KEYWORDS)
    if text(file.file_meta, "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise ImageFormatUnsupported("the file is a DICOMDIR, a list of DICOM files; send the files that it lists")
    if file.pixels is None or text(file.dataset, "SOPClassUID") in _NO_PICTURES:
        raise ImageFormatUnsupported(f"the DICOM file contains no picture (SOP class: {_sop_class(file.dataset)})")
    _check_transfer_syntax(file.syntax)
    return Header(file, file.pixels, read_image_pixel(file.dataset, file.pixels.keyword, max_pixels))


def _check_transfer_syntax(syntax: UID) -> None:
    """Refuse a transfer syntax that no installed decoder reads. Only registered names (PS3.6 annex A) are repeated."""
    if not can_decode(syntax):
        name = UID(syntax).name if syntax in UID_dictionary else "unknown"
        raise ImageFormatUnsupported(
            f"the DICOM file has an unsupported transfer syntax ({name}); send it uncompressed"
        )


def _sop_class(dataset: Any) -> str:
    uid = text(dataset, "SOPClassUID")
    return UID(uid).name if uid in UID_dictionary else "unknown"
