"""Items of sequences, of defined and undefined length."""

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.dicom.parsing import parse
from model.imaging.dicom.sequences import Items, item
from model.imaging.dicom.streams import StepLimit
from tests.support.image_files.dicom import HOUNSFIELD, ct
from tests.support.image_files.dicom_elements import header

CENTER = b"\x28\0\x50\x10DS\x02\x005 "


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
    items = Items(dataset.get_item("FrameVOILUTSequence"))
    found = [items.read(place) for place in places]
    return [None if one is None else float(one.WindowCenter) for one in found]


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
def test_one_item_is_read_by_its_number(syntax: str, undefined: bool) -> None:
    data = ct(HOUNSFIELD, TransferSyntaxUID=syntax, FrameVOILUTSequence=windows(1, 2, 3, undefined=undefined))
    dataset = parse(data, ("FrameVOILUTSequence",)).dataset
    assert centers(dataset, 0, 2, 3) == [1, 3, None]
    assert centers(dataset, 2, 1, 4, 0) == [3, 2, None, 1]


def test_a_sequence_of_unknown_vr_is_read_as_implicit() -> None:
    dataset = pydicom.dcmread(io.BytesIO(ct(HOUNSFIELD, FrameVOILUTSequence=windows(7, undefined=False))))
    implicit = io.BytesIO()
    pydicom.dcmwrite(implicit, dataset, implicit_vr=True, little_endian=True, force_encoding=True)
    start = implicit.getvalue().index(b"\x28\x00\x32\x91")
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
    assert len(Items(dataset.get_item("FrameVOILUTSequence")).read(100_000)) == 0


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
def test_only_the_named_elements_of_an_item_are_read_and_none_of_the_next_item(undefined: bool) -> None:
    first, second = Dataset(), Dataset()
    first.WindowCenter, first.WindowCenterWidthExplanation, second.WindowWidth = 1, "x", 2
    for one in (first, second):
        one.is_undefined_length_sequence_item = undefined
    data = ct(HOUNSFIELD, FrameVOILUTSequence=Sequence([first, second]))
    element = parse(data, ("FrameVOILUTSequence",)).dataset.get_item("FrameVOILUTSequence")
    items = Items(element, ("WindowCenter", "WindowWidth"))
    found = [[one.keyword for one in items.read(place)] for place in (0, 1)]
    assert found == [["WindowCenter"], ["WindowWidth"]]


def test_items_that_are_read_in_turn_take_steps_once() -> None:
    value = b"".join(b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + CENTER + b"\xfe\xff\x0d\xe0" + bytes(4) for _ in range(1000))
    element = header(FrameVOILUTSequence=("SQ", value)).get_item("FrameVOILUTSequence")
    items = Items(element, limit=StepLimit(7 * 1000))
    assert {float(items.read(place).WindowCenter) for place in range(1000)} == {5}
    with pytest.raises(ImageTooLarge, match="too many elements"):
        [items.read(place) for place in range(1000)]


def test_an_empty_sequence_has_no_items_unless_its_vr_shows_that_it_lost_them() -> None:
    for vr in ("SQ", "UN", None):
        assert item(header(FrameVOILUTSequence=(vr, b"")), "FrameVOILUTSequence") is None
    for vr in ("US", "SH", "S?"):
        with pytest.raises(ImageDecodeError, match=r"\(FrameVOILUTSequence\); a sequence was expected"):
            item(header(FrameVOILUTSequence=(vr, b"")), "FrameVOILUTSequence")
