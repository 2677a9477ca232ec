"""Items of sequences, of defined and undefined length."""

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from model.imaging.dicom.parsing import parse
from model.imaging.dicom.sequences import item
from tests.support.image_files.dicom import HOUNSFIELD, ct


def windows(*centers: float, undefined: bool) -> Sequence:
    items = []
    for center in centers:
        window = Dataset()
        window.WindowCenter = center
        window.is_undefined_length_sequence_item = undefined
        items.append(window)
    sequence = Sequence(items)
    sequence.is_undefined_length = undefined
    return sequence


def centers(dataset: Any, *places: int) -> list[float | None]:
    found = [item(dataset, "FrameVOILUTSequence", place) for place in places]
    return [None if one is None else float(one.WindowCenter) for one in found]


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
def test_one_item_is_read_by_its_number(syntax: str, undefined: bool) -> None:
    data = ct(HOUNSFIELD, TransferSyntaxUID=syntax, FrameVOILUTSequence=windows(1, 2, 3, undefined=undefined))
    dataset = parse(data, ("FrameVOILUTSequence",)).dataset
    assert centers(dataset, 0, 2, 3) == [1, 3, None]


def test_a_sequence_of_unknown_vr_is_read_as_implicit() -> None:
    dataset = pydicom.dcmread(io.BytesIO(ct(HOUNSFIELD, FrameVOILUTSequence=windows(7, undefined=False))))
    implicit = io.BytesIO()
    pydicom.dcmwrite(implicit, dataset, implicit_vr=True, little_endian=True, force_encoding=True)
    start = implicit.getvalue().index(b"\x28\x00\x32\x91") if b"\x28\x00\x32\x91" in implicit.getvalue() else -1
    assert start > 0
    length = int.from_bytes(implicit.getvalue()[start + 4 : start + 8], "little")
    value = implicit.getvalue()[start + 8 : start + 8 + length]
    whole = ct(HOUNSFIELD)
    place = whole.index(b"\xe0\x7f\x10\0")
    element = b"\x28\x00\x32\x91UN\0\0" + length.to_bytes(4, "little") + value
    assert centers(parse(whole[:place] + element + whole[place:], ("FrameVOILUTSequence",)).dataset, 0) == [7]


def test_an_absent_element_or_one_that_is_no_sequence_has_no_items() -> None:
    dataset = parse(ct(HOUNSFIELD, WindowCenter=[5]), ("WindowCenter", "VOILUTSequence")).dataset
    assert item(dataset, "VOILUTSequence") is None
    assert item(dataset, "WindowCenter") is None


def test_many_empty_items_are_passed_over_quickly() -> None:
    whole = ct(np.zeros((1, 1), np.uint8))
    place = whole.index(b"\xe0\x7f\x10\0")
    count = 500_000
    element = b"\x28\x00\x32\x91SQ\0\0" + (8 * count).to_bytes(4, "little") + b"\xfe\xff\x00\xe0\0\0\0\0" * count
    dataset = parse(whole[:place] + element + whole[place:], ("FrameVOILUTSequence",)).dataset
    assert len(item(dataset, "FrameVOILUTSequence", 100_000)) == 0
