"""A DICOM file to an 8-bit picture: its header read and checked, one frame decoded.

pydicom reads and decodes; nothing of a header but the names of SOP class and transfer syntax leaves this module.
"""

import logging
import re
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from PIL import Image
from pydicom import config
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_partial
from pydicom.pixels import get_decoder, pixel_array
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    UID_dictionary,
)

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge, InvalidInput
from model.imaging.dicom_pixels import shown
from model.imaging.rendering import Rendering
from model.imaging.windowing import no_such_frame

_MOST_SAMPLES = 4  # a pixel
_PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_DEFLATED = re.compile(rb"1\.2\.840\.10008\.1\.2\.1\.99(?![\d.])")
# Volumes, whose first frame is their edge: the middle one is shown. All others begin with their first.
_VOLUMES = frozenset({
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR
    "1.2.840.10008.5.1.4.1.1.4.3",  # Enhanced MR Color
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR
    "1.2.840.10008.5.1.4.1.1.6.2",  # Enhanced US Volume
    "1.2.840.10008.5.1.4.1.1.13.1.1",  # X-Ray 3D Angiographic
    "1.2.840.10008.5.1.4.1.1.13.1.2",  # X-Ray 3D Craniofacial
    "1.2.840.10008.5.1.4.1.1.13.1.3",  # Breast Tomosynthesis
    "1.2.840.10008.5.1.4.1.1.77.1.5.4",  # Ophthalmic Tomography
    "1.2.840.10008.5.1.4.1.1.128.1",  # Legacy Converted Enhanced PET
    "1.2.840.10008.5.1.4.1.1.130",  # Enhanced PET
})  # fmt: skip
_NO_PICTURES = frozenset({"1.2.840.10008.5.1.4.1.1.481.2"})  # RT Dose holds pixels of gray, the unit
_HEADER = (
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
# Where an enhanced object keeps, frame by frame, what others have at their top.
_FUNCTIONAL_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")

Value = TypeVar("Value")


def frame_count(data: bytes, rendering: Rendering, *, max_pixels: int) -> int:  # noqa: ARG001 (as other readers)
    """The number of frames that the header announces.

    Raises:
        As `check`.
    """
    return _guarded(lambda: _frames(_header(data, max_pixels, with_pixels=False)))


def check(data: bytes, rendering: Rendering, *, max_pixels: int) -> None:
    """Read the header; no pixel is decoded.

    Raises:
        ImageDecodeError: damaged, or without the frame that is asked for.
        ImageFormatUnsupported: no picture in it, or a transfer syntax that nothing here decodes; names it.
        ImageTooLarge: a frame has more than `max_pixels`.
    """
    _guarded(lambda: _frame_index(_header(data, max_pixels, with_pixels=False), rendering))


def decode(data: bytes, rendering: Rendering, *, max_pixels: int) -> Image.Image:
    """Decode one frame to an 8-bit picture, "L" or "RGB".

    Monochrome: the modality LUT or rescale, then the window of `rendering`, else the file's VOI LUT or first window,
    else the frame's own range between its 0.5 and 99.5 percentile; MONOCHROME1 is inverted; padding is black and does
    not count. Colour: palettes are applied, YBR becomes RGB, deeper samples are scaled to 8 bits.

    Raises:
        As `check`, and ImageDecodeError for damaged pixel data.
    """

    def render() -> Image.Image:
        dataset = _header(data, max_pixels, with_pixels=True)
        index = _frame_index(dataset, rendering)
        _check_codestream(dataset, index, max_pixels)
        pixels = pixel_array(dataset, index=index)
        return Image.fromarray(shown(pixels, _frame_header(dataset, index), rendering.window))

    return _guarded(render)


def _guarded(function: Callable[[], Value]) -> Value:
    """Run what meets hostile bytes: pydicom and its decoders raise almost anything on them."""
    _silence_pydicom()
    try:
        return function()
    except InvalidInput:
        raise
    except Exception as error:
        raise ImageDecodeError("the DICOM file is damaged or cut short") from error


@cache
def _silence_pydicom() -> None:
    """Its log and its warnings quote the header."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    config.settings.reading_validation_mode = config.IGNORE


def _header(data: bytes, max_pixels: int, *, with_pixels: bool) -> Any:
    """The data set, checked, with what rendering needs alone."""
    if _DEFLATED.search(data):  # pydicom would inflate it whole, whatever it becomes
        raise ImageFormatUnsupported("the DICOM file has the transfer syntax Deflated Explicit VR Little Endian, "
                                     "which is not read; send it uncompressed")  # fmt: skip
    found: list[str] = []

    def at_pixels(tag: Any, _vr: str | None, _length: int) -> bool:
        keyword = keyword_for_tag(tag)
        if keyword in _PIXEL_KEYWORDS:
            found.append(keyword)
        return bool(found) and not with_pixels

    wanted = [*_HEADER, *(_PIXEL_KEYWORDS if with_pixels else ())]
    stream = DicomBytesIO(data)
    dataset = read_partial(stream, stop_when=at_pixels, force=True, specific_tags=[Tag(keyword) for keyword in wanted])
    if not found or dataset.get("SOPClassUID") in _NO_PICTURES or not dataset.get("Rows"):
        raise ImageFormatUnsupported(f"the DICOM file holds no picture: its SOP class is {_sop_class(dataset)}")
    _check_transfer_syntax(dataset)
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel", 1))
    if rows < 1 or columns < 1 or not 1 <= samples <= _MOST_SAMPLES:
        raise ImageDecodeError("the DICOM file has a frame without pixels")
    if rows * columns > max_pixels:
        raise _too_large(max_pixels)
    return dataset


def _check_transfer_syntax(dataset: Any) -> None:
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is None:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
        if not hasattr(dataset, "file_meta"):
            dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
    try:
        readable = get_decoder(syntax).is_available
    except NotImplementedError:
        readable = False
    if not readable:
        name = UID(syntax).name if syntax in UID_dictionary else "an unknown one"
        raise ImageFormatUnsupported(f"the DICOM file's transfer syntax, {name}, is not read; send it uncompressed")


def _sop_class(dataset: Any) -> str:
    uid = dataset.get("SOPClassUID")
    return UID(uid).name if uid in UID_dictionary else "not a known one"


def _frames(dataset: Any) -> int:
    return max(1, int(dataset.get("NumberOfFrames") or 1))


def _frame_index(dataset: Any, rendering: Rendering) -> int:
    count = _frames(dataset)
    if rendering.frame is None:
        return count // 2 if dataset.get("SOPClassUID") in _VOLUMES else 0
    if rendering.frame >= count:
        raise no_such_frame("DICOM file", count, rendering.frame)
    return rendering.frame


def _check_codestream(dataset: Any, index: int, max_pixels: int) -> None:
    """A compressed frame says its size itself; a decoder makes room for that, whatever the header says."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not syntax.is_encapsulated or syntax == RLELossless:
        return
    frame = get_frame(
        dataset.PixelData, index, number_of_frames=_frames(dataset),
        extended_offsets=_extended_offsets(dataset),
    )  # fmt: skip
    rows, columns = _codestream_size(frame)
    if rows * columns > max_pixels:
        raise _too_large(max_pixels)
    if (rows, columns) != (int(dataset.Rows), int(dataset.Columns)):
        raise ImageDecodeError("the DICOM file's header and its pixel data differ in size")


def _extended_offsets(dataset: Any) -> tuple[bytes, bytes] | None:
    if "ExtendedOffsetTable" not in dataset or "ExtendedOffsetTableLengths" not in dataset:
        return None
    return dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths


def _codestream_size(frame: bytes) -> tuple[int, int]:
    """Rows and columns in a JPEG's (or JPEG-LS') frame header or a JPEG 2000's SIZ marker (ITU-T T.81, T.87, T.800)."""

    def number(start: int, size: int) -> int:
        return int.from_bytes(frame[start : start + size], "big")

    if (start := frame.find(b"\xff\x4f\xff\x51", 0, 4096)) >= 0:
        right, bottom, left, top = (number(start + 8 + 4 * place, 4) for place in range(4))
        return bottom - top, right - left
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
        elif (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return number(at + 5, 2), number(at + 7, 2)
        else:
            at += 2 + max(2, number(at + 2, 2))
    raise ImageDecodeError("the DICOM file is damaged or cut short")


def _frame_header(dataset: Any, index: int) -> Any:
    """The data set with what the functional groups say of this frame at its top."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for group in [*shared[:1], *per_frame[index : index + 1]]:
        for name in _FUNCTIONAL_GROUPS:
            for item in (group.get(name) or [])[:1]:
                for element in item:
                    dataset[element.tag] = element
    return dataset


def _too_large(max_pixels: int) -> ImageTooLarge:
    return ImageTooLarge(f"the image has more than the {max_pixels:,} pixels that are allowed; send it smaller")
