"""Padding: which stored values stand for no measurement (PS3.3 C.7.5.1.1.2)."""

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from model.imaging.dicom.padding import padding_mask
from tests.support.image_files.dicom_elements import Written, header, words

UNSIGNED_12: dict[str, Any] = {"BitsAllocated": ("US", words([16])), "BitsStored": ("US", words([12]))}


def padded(stored: ArrayLike, *, cells: Any = None, is_lossy: bool = False, **elements: Any) -> list[Any]:
    """The stored values that are padding."""
    values = np.asarray(stored)
    mask = padding_mask(values, header(**elements), cells=cells, is_lossy=is_lossy)
    return [] if mask is None else [value.item() for value in values[mask]]


def test_padding_is_a_value_or_a_range() -> None:
    stored = np.array([-2000, -1999, -1990, 0, 100], np.int16)
    value, limit = ("SS", words([-2000])), ("SS", words([-1990]))
    assert padded(stored, PixelPaddingValue=value) == [-2000]
    assert padded(stored, PixelPaddingValue=value, PixelPaddingRangeLimit=limit) == [-2000, -1999, -1990]
    assert padded(stored, PixelPaddingValue=limit, PixelPaddingRangeLimit=value) == [-2000, -1999, -1990]
    assert padded(stored, PixelPaddingValue=value, PixelPaddingRangeLimit=("SS", b"")) == [-2000]
    assert padded(stored, PixelPaddingValue=("SS", words([-2000, 100]))) == [-2000]  # the first of two values
    assert padded(stored, PixelPaddingValue=("SS", b"")) == []
    assert padded(stored, PixelPaddingRangeLimit=limit) == []


def test_a_frame_of_nothing_but_padding_has_none() -> None:
    assert padded(np.zeros(4, np.uint16), PixelPaddingValue=("US", words([0]))) == []


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        (np.array([-2000, 0], np.int16), ("US", words([63536]))),  # unsigned, although the pixels are signed
        (np.array([63536, 0], np.uint16), ("SS", words([-2000]))),
        (np.array([255, 0], np.uint8), ("SS", words([-1]))),
        (np.array([-27, 0], np.int32), ("US", words([65509]))),  # SS, as implicit VR is read
    ],
)
def test_the_type_of_a_padding_value_may_be_confused(stored: Any, written: Written) -> None:
    assert padded(stored, PixelPaddingValue=written) == [stored[0]]


def test_a_padding_value_may_be_written_in_the_stored_bits() -> None:
    stored = np.array([-2000, 0], np.int16)  # 12 bits
    assert padded(stored, PixelPaddingValue=("US", words([2096])), **UNSIGNED_12) == [-2000]


@pytest.mark.parametrize("value", [("SS", words([-2000])), ("US", words([63536]))])
def test_padding_outside_the_stored_bits_is_found_in_the_cells(value: Written) -> None:
    cells = np.array([63536, 63536 & 0xFFF, 100], np.uint16)
    stored = cells & 0xFFF  # of the two equal values, only the first is padding
    assert padded(stored, cells=cells, PixelPaddingValue=value, **UNSIGNED_12) == [2096]
    assert padded(stored, PixelPaddingValue=value, **UNSIGNED_12) == []


def test_lossy_compression_changes_padding_a_little() -> None:
    stored = np.array([0, 3, 16, 17, 2048], np.uint16)
    value = ("US", words([0]))
    assert padded(stored, is_lossy=True, PixelPaddingValue=value, **UNSIGNED_12) == [0, 3, 16]
    assert padded(stored, PixelPaddingValue=value, **UNSIGNED_12) == [0]


def test_floats_have_padding_elements_of_their_own() -> None:
    stored = np.array([-1e30, 0, np.nan, 5], np.float32)
    assert padded(stored, FloatPixelPaddingValue=("FL", struct.pack("<f", -1e30))) == [stored[0]]
    assert padded(stored, PixelPaddingValue=("US", words([0]))) == []
    double = stored.astype(np.float64)
    assert padded(double, DoubleFloatPixelPaddingValue=("FD", struct.pack("<d", 5))) == [5]
