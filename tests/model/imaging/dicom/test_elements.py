"""Values of header elements, whatever a writer made of them."""

import struct

import numpy as np
import pytest
from pydicom.dataset import Dataset

from model.errors import ImageDecodeError
from model.imaging.dicom.elements import (
    data,
    is_empty,
    number,
    numbers,
    numbers_by_place,
    required_integer,
    required_text,
    text,
)
from tests.support.image_files.dicom_elements import header, packed, words


@pytest.mark.parametrize(
    ("written", "values"),
    [
        (b"2047.5", [2047.5]),
        (b"2047,5", [2047.5]),
        (b"00400\\00400", [400, 400]),
        (b" 40 \\ 400 ", [40, 400]),
        (b"-1.5e3\0", [-1500]),
        (b"+.5", [0.5]),
        (b"", []),
        (b"   ", []),
        (b"WIDE", []),
        (b"1.#INF", []),
        (b"nan\\inf\\-inf\\1e999", []),
        (b"0x10\\1_000\\1,000.5", []),
        (b"\xff\xfe\\7", [7]),
        (b"wide\\80", [80]),
        (b"9" * 5000, []),
    ],
)
def test_numbers_in_text_are_read_and_other_text_is_left_out(written: bytes, values: list[float]) -> None:
    assert numbers(header(WindowCenter=("DS", written)), "WindowCenter") == values


def test_an_unreadable_value_keeps_its_place_where_places_count() -> None:
    dataset = header(WindowCenter=("DS", b"wide\\40"), WindowWidth=("DS", b"100\\80"))
    assert numbers_by_place(dataset, "WindowCenter") == [None, 40]
    assert numbers_by_place(dataset, "WindowWidth") == [100, 80]


@pytest.mark.parametrize("is_little_endian", [True, False])
@pytest.mark.parametrize(
    ("vr", "form", "value"),
    [
        ("US", "H", 65535),
        ("SS", "h", -5),
        ("UL", "I", 2**32 - 1),
        ("SL", "i", -(2**31)),
        ("UV", "Q", 2**60),
        ("SV", "q", -(2**60)),
        ("FL", "f", 0.5),
        ("FD", "d", -0.1),
        ("UN", "H", 512),  # as the data dictionary says
        ("OB", "H", 512),
        (None, "H", 512),
    ],
)
def test_numbers_of_every_type_are_read(vr: str | None, form: str, value: float, is_little_endian: bool) -> None:
    order = "<" if is_little_endian else ">"
    dataset = header(Rows=(vr, struct.pack(order + form, value)), is_little_endian=is_little_endian)
    assert numbers(dataset, "Rows") == [value]


def test_text_of_an_unknown_type_is_read_as_the_data_dictionary_says() -> None:
    assert numbers(header(WindowCenter=("UN", b"40\\50")), "WindowCenter") == [40, 50]
    assert numbers(header(Rows=("IS", b"512 ")), "Rows") == [512]


def test_elements_that_pydicom_has_converted_are_read() -> None:
    dataset = Dataset()
    dataset.WindowCenter, dataset.Rows, dataset.PhotometricInterpretation = [40, "50.5"], 512, "rgb"
    assert numbers(dataset, "WindowCenter") == [40, 50.5]
    assert number(dataset, "Rows", 0) == 512
    assert text(dataset, "PhotometricInterpretation") == "RGB"


def test_absent_and_empty_elements_have_no_value() -> None:
    dataset = header(RescaleSlope=("DS", b" "), PixelPaddingValue=("US", b""))
    for keyword in ("RescaleSlope", "PixelPaddingValue", "WindowCenter"):
        assert is_empty(dataset, keyword)
        assert number(dataset, keyword, 1.0) == 1.0
    assert not is_empty(header(LUTData=("OW", b"\0\0")), "LUTData")  # an entry of 0


def test_a_required_integer_is_missing_or_unreadable() -> None:
    dataset = header(Rows=("US", words([512])), Columns=("DS", b"12.5"), BitsStored=("IS", b""), HighBit=("US", b"\1"))
    assert required_integer(dataset, "Rows") == 512
    assert required_integer(header(Rows=("DS", b"512.0")), "Rows") == 512
    expected = {
        "BitsStored": "the DICOM file lacks the element Bits Stored (BitsStored); send the complete file",
        "BitsAllocated": "the DICOM file lacks the element Bits Allocated (BitsAllocated); send the complete file",
        "Columns": "the DICOM file has an unreadable value in the element Columns (Columns); an integer was expected",
        "HighBit": "the DICOM file has an unreadable value in the element High Bit (HighBit); an integer was expected",
    }
    for keyword, message in expected.items():
        with pytest.raises(ImageDecodeError) as error:
            required_integer(dataset, keyword)
        assert str(error.value) == message


def test_text_is_stripped_and_in_upper_case() -> None:
    dataset = header(PhotometricInterpretation=("CS", b"palette color \0"), VOILUTFunction=("CS", b" "))
    assert required_text(dataset, "PhotometricInterpretation") == "PALETTE COLOR"
    assert text(dataset, "VOILUTFunction", "LINEAR") == "LINEAR"
    with pytest.raises(ImageDecodeError, match=r"lacks the element VOI LUT Function \(VOILUTFunction\)"):
        required_text(dataset, "VOILUTFunction")


def test_no_more_values_are_read_than_rendering_needs() -> None:
    assert len(numbers(header(WindowCenter=("DS", b"1\\" * 100_000)), "WindowCenter")) == 1024
    assert len(numbers(header(Rows=("US", bytes(100_000))), "Rows")) == 1024


@pytest.mark.parametrize("is_little_endian", [True, False])
@pytest.mark.parametrize("vr", ["OW", "OB", "US", "UN", None])
def test_bytes_and_words_are_read_in_their_own_order(vr: str | None, is_little_endian: bool) -> None:
    in_words = header(
        LUTData=(vr, words([1, 2, 770], is_little_endian=is_little_endian)), is_little_endian=is_little_endian
    )
    in_bytes = header(
        LUTData=(vr, packed([1, 2, 3], is_little_endian=is_little_endian, vr=vr)), is_little_endian=is_little_endian
    )
    assert data(in_words, "LUTData", 2, 10).tolist() == [1, 2, 770]
    assert data(in_words, "LUTData", 2, 2).tolist() == [1, 2]
    assert data(in_bytes, "LUTData", 1, 3).tolist() == [1, 2, 3]


def test_words_that_pydicom_has_converted_are_read() -> None:
    dataset = Dataset()
    dataset.add_new("LUTData", "US", [1, 2, 65535])
    assert data(dataset, "LUTData", 2, 10).tolist() == [1, 2, 65535]
    assert data(dataset, "LUTDescriptor", 2, 10).dtype == np.uint16
