"""Lookup tables: how their entries are stored, and which value has which entry (PS3.3 C.11.1.1 and C.11.2.1.1)."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from model.errors import ImageDecodeError
from model.imaging.dicom.lookup_tables.tables import LookupTable, read_table
from tests.support.image_files.dicom_elements import empty, header, lookup_table, packed, words


def read(item: Dataset, *, signed: bool = False) -> LookupTable:
    table = read_table(item, "LUTDescriptor", "LUTData", signed=signed)
    assert table is not None
    return table


@pytest.mark.parametrize("is_little_endian", [True, False])
@pytest.mark.parametrize("vr", ["OW", "US", "SS", "OB", "UN", None])
@pytest.mark.parametrize("declared_bits", [8, 12, 16])
@pytest.mark.parametrize("count", [2, 255, 256, 257, 4096, 65536])
def test_the_length_tells_bytes_from_words(
    count: int, declared_bits: int, vr: str | None, is_little_endian: bool
) -> None:
    descriptor = words([count % 65536, 0, declared_bits], is_little_endian=is_little_endian)
    entries = np.arange(count)[::-1]
    in_words = words(entries, is_little_endian=is_little_endian)
    in_bytes = packed(entries % 256, is_little_endian=is_little_endian, vr=vr)
    for value, expected in ((in_words, entries), (in_bytes, entries % 256)):
        item = header(LUTDescriptor=("US", descriptor), LUTData=(vr, value), is_little_endian=is_little_endian)
        assert np.array_equal(read(item)(np.arange(count)), expected)


@pytest.mark.parametrize("vr", ["US", "SS", None])
@pytest.mark.parametrize(("first", "signed"), [(-1024, True), (-32768, True), (40000, False), (7, True), (7, False)])
def test_the_values_that_go_in_decide_the_sign_of_the_first_one_mapped(
    first: int, signed: bool, vr: str | None
) -> None:
    item = header(LUTDescriptor=(vr, words([3, first, 16])), LUTData=("OW", words([10, 20, 30])))
    assert read(item, signed=signed)(np.array([first, first + 1, first + 2])).tolist() == [10, 20, 30]


def test_a_table_of_65536_entries_has_0_in_its_descriptor() -> None:
    table = read(lookup_table(np.arange(65536), first=-32768), signed=True)
    stored = np.array([-32768, -1, 0, 32767], np.int16)
    assert table(stored).tolist() == [0, 32767, 32768, 65535]


def test_values_outside_a_table_have_its_first_or_last_entry() -> None:
    table = read(lookup_table([10, 20, 30], first=-1), signed=True)
    assert table(np.array([-32768, -2, -1, 1, 2, 32767], np.int16)).tolist() == [10, 10, 10, 30, 30, 30]
    assert table(np.array([-np.inf, -0.1, 0.9, np.inf, np.nan])).tolist() == [10, 10, 20, 30, 10]
    assert table(np.array([2**32 - 1], np.uint32)).tolist() == [30]


@pytest.mark.parametrize("element", ["LUTDescriptor", "LUTData"])
def test_a_table_with_an_empty_or_absent_element_counts_as_absent(element: str) -> None:
    absent = lookup_table([1, 2])
    del absent[element]
    for item in (absent, empty(absent, element)):
        assert read_table(item, "LUTDescriptor", "LUTData", signed=False) is None


@pytest.mark.parametrize(
    ("vr", "value"),
    [("US", words([3, 0])), ("DS", b"3\\0\\wide"), ("DS", b"3\\0.5\\16"), ("UL", b"\xff" * 12), ("US", b"\0")],
)
def test_a_descriptor_without_three_integers_is_refused(vr: str, value: bytes) -> None:
    item = header(LUTDescriptor=(vr, value), LUTData=("OW", words([1, 2, 3])))
    with pytest.raises(ImageDecodeError, match=r"unreadable value in the element LUT Descriptor \(LUTDescriptor\)"):
        read(item)


def test_a_table_that_lacks_entries_is_refused_if_a_value_needs_one() -> None:
    short = header(LUTDescriptor=("US", words([4096, 0, 16])), LUTData=("OW", words([10, 20, 30])))
    assert read(short)(np.array([0, 1, 2])).tolist() == [10, 20, 30]
    with pytest.raises(
        ImageDecodeError, match=r"lacks entries of the lookup table in the element LUT Data \(LUTData\)"
    ):
        read(short)(np.array([3]))


def test_a_table_of_bytes_that_is_cut_short_is_refused() -> None:
    short = header(LUTDescriptor=("US", words([4096, 0, 8])), LUTData=("OB", bytes(4000)))
    with pytest.raises(ImageDecodeError, match="lacks entries"):
        read(short)


def test_entries_beyond_the_announced_ones_are_ignored() -> None:
    item = header(LUTDescriptor=("US", words([2, 0, 16])), LUTData=("OW", words([10, 20, 65535])))
    table = read(item)
    assert table(np.array([5])).tolist() == [20]
    assert table.highest_bits == 8


@pytest.mark.parametrize(("largest", "bits"), [(0, 8), (100, 8), (255, 8), (256, 9), (4095, 12), (65535, 16)])
def test_the_largest_entry_tells_the_bits(largest: int, bits: int) -> None:
    assert read(lookup_table([0, largest], bits=16)).highest_bits == bits
