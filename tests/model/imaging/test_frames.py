"""The choice of one frame."""

import pytest

from model.errors import ImageDecodeError
from model.imaging.frames import frame_index


def test_without_a_request_the_default_is_chosen() -> None:
    assert frame_index(None, 5, default=2, source="DICOM file") == 2


def test_frames_are_counted_from_0() -> None:
    assert [frame_index(number, 3, default=2, source="DICOM file") for number in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(("count", "frames"), [(1, "1 frame"), (2000, "2,000 frames")])
def test_a_frame_that_is_not_there_is_refused(count: int, frames: str) -> None:
    words = f"the TIFF image has {frames}, counted from 0: there is no frame {count:,}$"
    with pytest.raises(ImageDecodeError, match=words):
        frame_index(count, count, default=0, source="TIFF image")
