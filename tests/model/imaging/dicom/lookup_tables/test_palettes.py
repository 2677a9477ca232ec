"""PALETTE COLOR: 8 and 16 bits however they are stored, segments, and palettes that cannot be used."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from model.errors import ImageDecodeError
from model.imaging.dicom.lookup_tables.palettes import read_palette
from tests.support.image_files.dicom_elements import Written, empty, header, packed, words

RAMP = np.arange(256)
BLACK = np.zeros(256, int)


def palette(
    *data: Written,
    count: int = 256,
    first: int = 0,
    bits: int = 8,
    segmented: bool = False,
    is_little_endian: bool = True,
) -> Dataset:
    """A header with three tables that have the same descriptor, and the same data if only one is given."""
    prefix = "Segmented" if segmented else ""
    descriptor = ("US", words([count % 65536, first, bits], is_little_endian=is_little_endian))
    elements: dict[str, Any] = {}
    for colour, value in zip(("Red", "Green", "Blue"), data if len(data) == 3 else 3 * data, strict=True):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = descriptor
        elements[f"{prefix}{colour}PaletteColorLookupTableData"] = value
    return header(**elements, is_little_endian=is_little_endian)


def red(dataset: Dataset, indices: Any, *, signed: bool = False) -> list[int]:
    """The red of some indices."""
    colours = read_palette(dataset, signed=signed)(np.array([indices]))
    return [int(value) for value in colours[0, :, 0]]


@pytest.mark.parametrize("is_little_endian", [True, False])
@pytest.mark.parametrize("declared_bits", [8, 16])
@pytest.mark.parametrize("factor", [1, 256, 257], ids=["in the low byte", "in the high byte", "in both"])
def test_eight_bits_are_found_wherever_words_have_them(factor: int, declared_bits: int, is_little_endian: bool) -> None:
    data = [("OW", words(part * factor, is_little_endian=is_little_endian)) for part in (RAMP, RAMP[::-1], BLACK)]
    dataset = palette(*data, bits=declared_bits, is_little_endian=is_little_endian)
    colours = read_palette(dataset, signed=False)(np.array([[0, 1, 131, 255]], np.uint8))
    assert colours.tolist() == [[[0, 255, 0], [1, 254, 0], [131, 124, 0], [255, 0, 0]]]


@pytest.mark.parametrize("is_little_endian", [True, False])
@pytest.mark.parametrize("vr", ["OW", "OB"])
def test_eight_bits_may_be_packed(vr: str, is_little_endian: bool) -> None:
    data = [(vr, packed(part, is_little_endian=is_little_endian, vr=vr)) for part in (RAMP, RAMP[::-1], BLACK)]
    dataset = palette(*data, is_little_endian=is_little_endian)
    assert read_palette(dataset, signed=False)(np.array([[131]], np.uint8)).tolist() == [[[131, 124, 0]]]


def test_the_upper_eight_of_sixteen_bits_are_shown() -> None:
    dataset = palette(("OW", words([0x00FF, 0x8000, 0xFFFF])), count=3, bits=16)
    assert red(dataset, [0, 1, 2]) == [0, 128, 255]


def test_a_table_of_bytes_may_stand_beside_tables_of_words() -> None:
    dataset = palette(("OW", packed(RAMP)), ("OW", words(RAMP * 256)), ("OW", words(RAMP * 256)))
    assert read_palette(dataset, signed=False)(np.array([[131]])).tolist() == [[[131, 131, 131]]]


def test_a_palette_of_8_bits_may_have_more_than_256_entries() -> None:
    entries = np.arange(4096) // 16
    for stored in (("OW", packed(entries)), ("OW", words(entries))):
        assert red(palette(stored, count=4096), [0, 0x80D, 0xFFF]) == [0, 128, 255]


def test_indices_may_be_signed_and_outside_the_table() -> None:
    dataset = palette(("OW", packed(RAMP)), first=-128)
    assert red(dataset, [-32768, -128, 0, 127, 32767], signed=True) == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("keyword", ["GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"])
def test_a_missing_or_empty_table_is_named(keyword: str) -> None:
    absent = palette(("OW", packed(RAMP)))
    del absent[keyword]
    for dataset in (absent, empty(absent, keyword)):
        with pytest.raises(ImageDecodeError, match=rf"lacks the element Green .* \({keyword}\)"):
            read_palette(dataset, signed=False)


# A discrete segment of 2 entries, a line of 4 to 100, both once more, and a line of 244 to 255 (PS3.3 C.7.9.2).
DISCRETE, LINE, LAST_LINE = [0, 2, 0, 20], [1, 4, 100], [1, 244, 255]
EXPANDED = [0, 20, 40, 60, 80, 100, 0, 20, 40, 60, 80, 100, 101, 101, 102]


def segments(item_bytes: int, *, is_little_endian: bool) -> Written:
    """The segments above; the indirect one has an offset of 32 bits."""
    items = [*DISCRETE, *LINE, 2, 2, *[0] * (4 // item_bytes), *LAST_LINE]
    encode = words if item_bytes == 2 else packed
    return "OW", encode(items, is_little_endian=is_little_endian)


@pytest.mark.parametrize("is_little_endian", [True, False])
@pytest.mark.parametrize(("item_bytes", "declared_bits"), [(1, 8), (2, 16), (2, 8)])
def test_segments_are_expanded(item_bytes: int, declared_bits: int, is_little_endian: bool) -> None:
    data = segments(item_bytes, is_little_endian=is_little_endian)
    dataset = palette(data, bits=declared_bits, segmented=True, is_little_endian=is_little_endian)
    assert red(dataset, range(15)) == EXPANDED
    assert red(dataset, [255]) == [255]


@pytest.mark.parametrize(("item_bytes", "encode"), [(1, packed), (2, words)])
def test_an_indirect_segment_counts_its_offset_in_bytes(item_bytes: int, encode: Callable[[Any], bytes]) -> None:
    offset = [4 * item_bytes, 0, 0, 0][: 4 // item_bytes]  # the line behind the discrete segment, to the same end again
    data = ("OW", encode([*DISCRETE, *LINE, 2, 1, *offset, *LAST_LINE]))
    assert red(palette(data, count=254, bits=8 * item_bytes, segmented=True), range(11)) == [
        *EXPANDED[:6],
        *[100] * 4,
        101,
    ]


@pytest.mark.parametrize(
    "items",
    [
        [1, 256, 7],  # a line without a start
        [0, 255, *RAMP[:255]],  # one entry too few
        [0, 1, 5, 0, 0, 1, 255, 9],  # an empty segment
        [0, 1, 5, 3, 255, 9],  # an unknown opcode
        [0, 1, 5, 2, 255, 6, 0],  # a segment that contains itself
        [0, 1, 5, 2, 1, 6, 0, 2, 254, 6, 0],  # one that contains an indirect one
        [0, 1, 5, 2, 255, 0, 1],  # an offset beyond the data
        [0, 200],  # cut short
        [1, 255],
    ],
)
def test_segments_that_are_no_table_are_refused(items: list[int]) -> None:
    data = ("OW", words(items))
    with pytest.raises(
        ImageDecodeError, match=r"unreadable value in the element Segmented Red .*segments that give all"
    ):
        read_palette(palette(data, bits=16, segmented=True), signed=False)


@pytest.mark.parametrize(
    "items",
    [[0, 1, 5] + [1, 1, 7] * 100 + [2, 100, 0, 0] * 800, [0, 1, 5] * 200_000, [2, 0, 0, 0] * 500_000, [0, 0] * 500_000],
    ids=["copies", "discrete", "empty copies", "empty"],
)
def test_hostile_segments_are_cheap(items: list[int]) -> None:
    data = ("OW", words(items))
    dataset = palette(data, count=65536, bits=16, segmented=True)
    start = time.process_time()
    with contextlib.suppress(ImageDecodeError):
        read_palette(dataset, signed=False)
    assert time.process_time() - start < 1
