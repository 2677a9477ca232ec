"""The Image Pixel module: what a header must say, and the message where it does not."""

from typing import Any

import numpy as np
import pytest

from model.errors import ImageDecodeError, ImageFormatUnsupported, InvalidInput
from model.imaging.dicom.header import read_header
from model.imaging.dicom.image_pixel import ImagePixel
from tests.support.image_files.dicom import HOUNSFIELD, MAX_PIXELS, ct


def image_pixel(**elements: Any) -> ImagePixel:
    return read_header(ct(HOUNSFIELD, **elements), MAX_PIXELS).image


def test_the_module_of_a_usual_ct_is_read() -> None:
    assert image_pixel() == ImagePixel(
        keyword="PixelData",
        rows=1,
        columns=6,
        samples=1,
        photometric="MONOCHROME2",
        planar_configuration=0,
        bits_allocated=16,
        bits_stored=16,
        lowest_bit=0,
        is_signed=True,
    )


@pytest.mark.parametrize(
    ("keyword", "named"),
    [
        ("Rows", r"Rows \(Rows\)"),
        ("Columns", r"Columns \(Columns\)"),
        ("PhotometricInterpretation", r"Photometric Interpretation \(PhotometricInterpretation\)"),
        ("BitsStored", r"Bits Stored \(BitsStored\)"),
        ("PixelRepresentation", r"Pixel Representation \(PixelRepresentation\)"),
    ],
)
def test_a_missing_element_is_named(keyword: str, named: str) -> None:
    with pytest.raises(ImageDecodeError, match=f"the DICOM file lacks the element {named}"):
        image_pixel(**{keyword: None})


def test_missing_bits_allocated_are_named() -> None:
    whole = ct(HOUNSFIELD)
    element = b"\x28\0\0\1US\2\0\x10\0"
    with pytest.raises(ImageDecodeError, match=r"lacks the element Bits Allocated \(BitsAllocated\)"):
        read_header(whole.replace(element, b""), MAX_PIXELS)


@pytest.mark.parametrize("keyword", ["SamplesPerPixel", "HighBit"])
def test_an_element_that_the_others_imply_may_be_missing(keyword: str) -> None:
    assert image_pixel(**{keyword: None}) == image_pixel()


@pytest.mark.parametrize(
    ("elements", "reason", "kind"),
    [
        ({"Rows": 0}, "Rows must be at least 1", ImageDecodeError),
        ({"BitsAllocated": 12}, "unsupported BitsAllocated; supported are 1, 8, 16, 32 and 64", ImageFormatUnsupported),
        ({"BitsStored": 17}, "BitsStored must be at least 1 and at most BitsAllocated", ImageDecodeError),
        ({"BitsStored": 0}, "BitsStored must be at least 1 and at most BitsAllocated", ImageDecodeError),
        ({"PhotometricInterpretation": "CMYK"}, "unsupported PhotometricInterpretation", ImageFormatUnsupported),
        ({"SamplesPerPixel": 4}, "SamplesPerPixel must be 1 for grey and palettes, and 3", ImageDecodeError),
        (
            {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "BitsAllocated": 1, "BitsStored": 1},
            "colours of one bit .BitsAllocated 1.; send it with 8 bits",
            ImageFormatUnsupported,
        ),
        (
            {"SamplesPerPixel": 3, "PhotometricInterpretation": "PALETTE COLOR"},
            "SamplesPerPixel must be 1 for grey and palettes",
            ImageDecodeError,
        ),
    ],
)
def test_an_impossible_header_is_refused_by_its_reason(
    elements: dict[str, Any], reason: str, kind: type[InvalidInput]
) -> None:
    with pytest.raises(kind, match=reason):
        image_pixel(**elements)


@pytest.mark.parametrize(("stored", "high", "lowest"), [(12, 15, 4), (12, 11, 0), (12, 3, 0), (12, 16, 0), (10, 11, 2)])
def test_the_high_bit_says_which_bits_count_and_an_impossible_one_is_ignored(
    stored: int, high: int, lowest: int
) -> None:
    assert image_pixel(BitsStored=stored, HighBit=high).lowest_bit == lowest


@pytest.mark.parametrize(
    ("samples", "photometric", "taken"),
    [(1, "RGB", "MONOCHROME2"), (3, "MONOCHROME1", "RGB"), (3, "YBR_FULL", "YBR_FULL")],
)
def test_the_samples_decide_if_the_photometric_interpretation_contradicts_them(
    samples: int, photometric: str, taken: str
) -> None:
    assert image_pixel(SamplesPerPixel=samples, PhotometricInterpretation=photometric).photometric == taken


def test_float_pixel_data_needs_no_bits() -> None:
    values = np.zeros((1, 2), np.float32)
    data = ct(
        values, PixelData=None, BitsStored=None, HighBit=None, PixelRepresentation=None, FloatPixelData=values.tobytes()
    )
    assert read_header(data, MAX_PIXELS).image.bits_allocated == 32
