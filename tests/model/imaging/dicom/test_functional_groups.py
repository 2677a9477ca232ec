"""Headers of frames: shared functional groups, groups of a frame, and what reading them may take."""

import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.dicom.functional_groups import MAX_FRAME_READS, FunctionalGroups
from model.imaging.dicom.streams import MAX_READS, BoundedStream
from model.imaging.images import open_image
from model.imaging.rendering import Rendering, Window
from tests.support.image_files.bombs.dicom import (
    FRAME_GROUPS,
    SHARED_GROUPS,
    UNDEFINED,
    VOI_GROUP,
    VOI_LUTS,
    defined,
    element,
    item,
    many_elements,
    sequence,
    sequence_of,
    undefined,
    with_groups,
)
from tests.support.image_files.dicom import MAX_PIXELS, ct, greys
from tests.support.image_files.dicom_elements import header, lookup_table


def window(center: int, **others: object) -> Dataset:
    """An item of functional groups with a window of width 100, and with other elements beside it."""
    voi, group = Dataset(), Dataset()
    voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction = center, 100, "LINEAR_EXACT"
    for keyword, value in others.items():
        setattr(voi, keyword, value)
    group.FrameVOILUTSequence = Sequence([voi])
    return group


def frames(count: int, *groups: Dataset, **elements: object) -> bytes:
    """A file of frames that are all 75, with functional groups per frame."""
    return ct(np.full((count, 1, 1), 75, np.uint8), PerFrameFunctionalGroupsSequence=Sequence(groups), **elements)


def every_frame(data: bytes, count: int) -> list[int]:
    file = open_image(data, max_pixels=MAX_PIXELS)
    return [int(np.asarray(file.decode(Rendering(frame=number)))[0, 0]) for number in range(count)]


def test_the_group_of_a_frame_replaces_the_shared_one_which_replaces_the_header() -> None:
    shared = Sequence([window(100)])
    elements = {"WindowCenter": 75, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"}
    assert every_frame(frames(2, window(50), Dataset(), **elements), 2) == [191, 128]
    assert every_frame(frames(3, window(50), Dataset(), SharedFunctionalGroupsSequence=shared, **elements), 3) == [
        191,
        64,
        64,
    ]


def test_a_frame_without_a_group_does_not_get_that_of_another_frame() -> None:
    file = frames(
        4, window(50), Dataset(), window(100), WindowCenter=75, WindowWidth=100, VOILUTFunction="LINEAR_EXACT"
    )
    assert every_frame(file, 4) == [191, 128, 64, 128]


def test_a_group_replaces_only_elements_of_rescaling_and_windows() -> None:
    others = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 4, "PixelPaddingValue": 75, "Rows": 9}
    assert every_frame(frames(1, window(50, **others)), 1) == every_frame(frames(1, window(50)), 1)


def test_the_table_in_a_group_is_applied() -> None:
    table, voi, group = Dataset(), Dataset(), Dataset()
    table.update(lookup_table([0, 255], first=74))
    voi.VOILUTSequence = Sequence([table])
    group.FrameVOILUTSequence = Sequence([voi])
    assert every_frame(frames(2, Dataset(), group, WindowCenter=75, WindowWidth=100), 2)[1] == 255


def test_several_threads_get_the_header_of_their_frame() -> None:
    data = frames(200, *(window(center) for center in range(200)))
    expected = every_frame(data, 200)
    file = open_image(data, max_pixels=MAX_PIXELS)
    with ThreadPoolExecutor(4) as pool:
        pictures = pool.map(lambda number: file.decode(Rendering(frame=number)), reversed(range(200)))
    assert [int(np.asarray(picture)[0, 0]) for picture in pictures] == expected[::-1]


def test_a_damaged_table_refuses_a_picture_only_if_it_is_needed() -> None:
    data = with_groups(sequence_of(VOI_LUTS, item(UNDEFINED) + sequence(VOI_LUTS, UNDEFINED)))
    file = open_image(data, max_pixels=MAX_PIXELS)
    assert file.decode(Rendering(window=Window(40, 80))).size == (8, 8)
    for _ in range(2):
        with pytest.raises(ImageDecodeError, match="its elements cannot be read"):
            greys(data)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the reads so far."""
    sizes: list[int] = []
    read = BoundedStream.read

    def counted(stream: BoundedStream, size: int | None = -1, /) -> bytes:
        sizes.append(size or 0)
        return read(stream, size)

    monkeypatch.setattr(BoundedStream, "read", counted)
    return sizes


def read_headers(count: int, **sequences: bytes) -> None:
    """Read the headers of frames of a file with the given sequences of functional groups."""
    groups = FunctionalGroups(
        header(is_little_endian=True, **{name: ("SQ", value) for name, value in sequences.items()})
    )
    for number in range(count):
        groups.header(number)


@pytest.mark.parametrize("encode", [defined, undefined])
def test_a_thousand_frames_of_sixty_elements_are_read_in_linear_time(
    steps: list[int], encode: Callable[[bytes], bytes]
) -> None:
    read_headers(1000, PerFrameFunctionalGroupsSequence=encode(many_elements(60)) * 1000)
    assert len(steps) < 70_000


def test_shared_groups_and_their_tables_are_read_once(steps: list[int]) -> None:
    table = sequence_of(VOI_LUTS, defined(many_elements(1000)))
    groups = defined(sequence_of(VOI_GROUP, defined(table)))
    read_headers(100, SharedFunctionalGroupsSequence=groups)
    assert len(steps) < 1100


def test_the_steps_of_all_frames_together_are_limited() -> None:
    one = defined(many_elements(10_000))
    read_headers(20, PerFrameFunctionalGroupsSequence=one * 20)  # 200,000 steps
    possible = MAX_READS // (10_000 - MAX_FRAME_READS)
    with pytest.raises(ImageTooLarge, match="too many elements; reading it takes over 300,000 steps"):
        read_headers(possible + 1, PerFrameFunctionalGroupsSequence=one * (possible + 1))


def test_a_frame_behind_one_that_cannot_be_read_is_refused_each_time() -> None:
    value = item(UNDEFINED) + sequence(VOI_GROUP, UNDEFINED) + item(0) + struct.pack("<HH", 0x28, 0x1050)
    groups = FunctionalGroups(header(PerFrameFunctionalGroupsSequence=("SQ", value)))
    for number in (0, 1, 1, 0):
        with pytest.raises(ImageDecodeError, match="its elements cannot be read"):
            groups.header(number)


def test_elements_of_any_vr_in_a_group_may_be_unreadable() -> None:
    voi = element(0x0028_1050, b"US", b"\1") + element(0x0028_1051, b"DS", b"x")
    for number in (SHARED_GROUPS, FRAME_GROUPS):
        groups = sequence_of(number, defined(sequence_of(VOI_GROUP, defined(voi))))
        assert greys(with_groups(groups)) == greys(with_groups(b""))
