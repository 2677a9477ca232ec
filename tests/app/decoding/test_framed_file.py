"""The bound on the frames of one file."""

import pytest

from app.decoding.framed_file import FramedFile
from model.errors import ImageTooLarge
from model.imaging.limits import MAX_FRAMES_PIXELS


def test_the_frames_of_a_file_have_a_limit_together() -> None:
    file = FramedFile(1000)
    for _ in range(2):
        file.check_decoded()
        file.add_decoded(MAX_FRAMES_PIXELS // 2 + 1)
    assert file.undecoded == 998
    with pytest.raises(ImageTooLarge, match="have together more than"):
        file.check_decoded()
