"""Tables of a header that say where frames lie."""

import struct

import pytest

from model.imaging.dicom.frames import extended_offsets
from tests.support.image_files.dicom import HOUNSFIELD, ct, greys
from tests.support.image_files.dicom_elements import header

PIXEL_DATA = b"\xe0\x7f\x10\0"
EMPTY_SEQUENCE = b"\xff\xff\xff\xff\xfe\xff\xdd\xe0" + bytes(4)


def test_an_extended_offset_table_has_numbers_of_64_bits() -> None:
    table = struct.pack("<QQ", 0, 2**40)
    assert extended_offsets(header(ExtendedOffsetTable=("OV", table))) == [0, 2**40]
    assert extended_offsets(header(ExtendedOffsetTable=("OV", table + b"\1\2"))) == [0, 2**40]
    assert extended_offsets(header()) == []


@pytest.mark.parametrize(
    "written",
    [b"US\x01\0\0", b"FD\x03\0\0\0\0", b"FD\0\0", b"XX\0\0", b"SQ\0\0" + EMPTY_SEQUENCE],
    ids=["a byte as a word", "three bytes as a double", "an empty double", "an unknown type", "a sequence"],
)
def test_a_table_of_another_type_is_ignored_where_it_is_not_needed(written: bytes) -> None:
    whole = ct(HOUNSFIELD)
    place = whole.rindex(PIXEL_DATA)
    assert greys(whole[:place] + b"\xe0\x7f\x01\0" + written + whole[place:]) == greys(whole)
