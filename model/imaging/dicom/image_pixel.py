"""The Image Pixel module of a DICOM header (PS3.3 C.7.6.3): size, bits and colours of the pixel data."""

from dataclasses import dataclass
from typing import Any

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.dicom.elements import number, numbers, required_integer, required_text
from model.imaging.limits import check_decoded_bytes, too_many_pixels

_PALETTE = "PALETTE COLOR"
_ONE_SAMPLE = frozenset({"MONOCHROME1", "MONOCHROME2", _PALETTE})
_SUBSAMPLED = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
_PARTIAL = frozenset({"YBR_PARTIAL_422", "YBR_PARTIAL_420"})
_DECODED_AS_RGB = frozenset({"RGB", "YBR_ICT", "YBR_RCT"})  # decoders of JPEG 2000 undo the latter two
_YBR = _SUBSAMPLED | _PARTIAL | {"YBR_FULL"}
_BITS_ALLOCATED = (1, 8, 16, 32, 64)
_FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


@dataclass(frozen=True)
class ImagePixel:
    """How the pixel data of a file is laid out.

    Args:
        keyword: the element of the pixel data: PixelData, FloatPixelData or DoubleFloatPixelData.
        rows, columns: size of a frame in pixels.
        samples: samples per pixel, 1 or 3.
        photometric: the photometric interpretation.
        planar_configuration: 0 for samples interleaved by pixel, 1 for one plane per sample; only uncompressed frames.
        bits_allocated: bits of a sample's container: 1, 8, 16, 32 or 64.
        bits_stored: bits of a sample that count.
        lowest_bit: the lowest of them in the container; 0 in almost all files.
        is_signed: whether samples are two's complement.
    """

    keyword: str
    rows: int
    columns: int
    samples: int
    photometric: str
    planar_configuration: int
    bits_allocated: int
    bits_stored: int
    lowest_bit: int
    is_signed: bool

    @property
    def is_ybr(self) -> bool:
        """Whether the header says that the samples are luminance and two colour differences."""
        return self.photometric in _YBR

    @property
    def is_partial(self) -> bool:
        """Whether luminance lies between 16 and 235 (CCIR 601), instead of 0 and 255."""
        return self.photometric in _PARTIAL

    @property
    def is_subsampled(self) -> bool:
        """Whether two pixels share their colour differences where the frame is uncompressed."""
        return self.photometric in _SUBSAMPLED


def read_image_pixel(dataset: Any, keyword: str, max_pixels: int) -> ImagePixel:
    """Read and check the module.

    Args:
        dataset: the file's header.
        keyword: the element of the pixel data.
        max_pixels: limit for one frame.

    Raises:
        ImageDecodeError: an element is missing or unreadable, or two contradict each other.
        ImageFormatUnsupported: the pixel data has a layout or colours that are not read.
        ImageTooLarge: a frame has more than `max_pixels`, or too many bytes.
    """
    rows, columns = (_positive(dataset, name) for name in ("Rows", "Columns"))
    if rows * columns > max_pixels:
        raise too_many_pixels(max_pixels)
    photometric = required_text(dataset, "PhotometricInterpretation")
    if photometric not in _ONE_SAMPLE | _YBR | _DECODED_AS_RGB:
        raise ImageFormatUnsupported(
            "the DICOM file has an unsupported PhotometricInterpretation; supported are MONOCHROME1, MONOCHROME2, "
            "PALETTE COLOR, RGB and YBR"
        )
    samples = int(number(dataset, "SamplesPerPixel", 1 if photometric in _ONE_SAMPLE else 3))
    if samples not in (1, 3) or (samples == 3 and photometric == _PALETTE):
        raise ImageDecodeError(
            "the DICOM header contradicts itself: SamplesPerPixel must be 1 for grey and palettes, and 3 for colours"
        )
    if (samples == 1) != (photometric in _ONE_SAMPLE):
        photometric = "RGB" if samples == 3 else "MONOCHROME2"  # the number of samples is a fact of the pixel data
    planar = int(number(dataset, "PlanarConfiguration", 0) == 1)
    if keyword in _FLOAT_BITS:
        bits = _FLOAT_BITS[keyword]
        check_decoded_bytes(rows * columns * samples * bits / 8, max_pixels)
        return ImagePixel(keyword, rows, columns, samples, photometric, planar, bits, bits, 0, is_signed=True)
    allocated, stored, lowest = _bits(dataset)
    check_decoded_bytes(rows * columns * samples * allocated / 8, max_pixels)
    if allocated == 1 and samples == 3:
        raise ImageFormatUnsupported("the DICOM file has colours of one bit (BitsAllocated 1); send it with 8 bits")
    is_signed = required_integer(dataset, "PixelRepresentation") == 1
    return ImagePixel(keyword, rows, columns, samples, photometric, planar, allocated, stored, lowest, is_signed)


def _positive(dataset: Any, keyword: str) -> int:
    value = required_integer(dataset, keyword)
    if value < 1:
        raise ImageDecodeError(f"the DICOM header has no valid size: {keyword} must be at least 1")
    return value


def _bits(dataset: Any) -> tuple[int, int, int]:
    """Bits allocated, bits stored, and the lowest stored bit."""
    allocated, stored = (required_integer(dataset, name) for name in ("BitsAllocated", "BitsStored"))
    if allocated not in _BITS_ALLOCATED:
        raise ImageFormatUnsupported(
            "the DICOM file has an unsupported BitsAllocated; supported are 1, 8, 16, 32 and 64"
        )
    if not 1 <= stored <= allocated:
        raise ImageDecodeError(
            "the DICOM header contradicts itself: BitsStored must be at least 1 and at most BitsAllocated"
        )
    high = next(iter(numbers(dataset, "HighBit")), stored - 1)
    is_possible = stored - 1 <= high < allocated  # GDCM and dcmtk ignore an impossible high bit as well
    return allocated, stored, int(high) - stored + 1 if is_possible else 0
