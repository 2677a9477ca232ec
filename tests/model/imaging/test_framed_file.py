"""A file of which every frame is decoded is opened once, dropped after its last frame, and bounded in its pixels."""

import pytest
from PIL import Image

from model.errors import ImageTooLarge
from model.imaging import framed_file
from model.imaging.framed_file import FramedFile
from model.imaging.rendering import AS_STORED, Rendering


class TenByTen:
    """An `ImageFile` of four frames."""

    decoded, inflates = 0, False

    def frame_count(self, rendering: Rendering) -> int:
        return 4

    def check(self, rendering: Rendering) -> None:
        pass

    def decode(self, rendering: Rendering) -> Image.Image:
        self.decoded += 1
        return Image.new("L", (10, 10))


def test_a_file_is_opened_once_and_again_only_after_its_last_frame() -> None:
    opened: list[bytes] = []

    def open_image(data: bytes) -> TenByTen:
        opened.append(data)
        return TenByTen()

    file = FramedFile(b"data", open_image)
    assert file.count_frames(AS_STORED, keep_open=True) == 4
    for frame in range(4):
        file.decode(Rendering(frame=frame))
    assert opened == [b"data"]


def test_a_file_that_inflates_is_not_kept_open_before_its_first_frame() -> None:
    opened: list[bytes] = []

    def open_image(data: bytes) -> TenByTen:
        opened.append(data)
        image = TenByTen()
        image.inflates = True
        return image

    file = FramedFile(b"data", open_image)
    file.count_frames(AS_STORED, keep_open=True)
    assert file.inflates
    for frame in range(4):
        file.decode(Rendering(frame=frame))
    assert opened == [b"data"] * 2


def test_the_frames_of_a_small_file_have_a_limit_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framed_file, "MAX_FRAMES_PIXELS", 250)
    image = TenByTen()
    file = FramedFile(b"data", lambda _: image)
    file.count_frames(AS_STORED, keep_open=True)
    for _ in range(3):
        file.decode(AS_STORED)
    with pytest.raises(ImageTooLarge, match=r"together more than .* pixels, which is the limit; choose one with"):
        file.decode(AS_STORED)
    assert image.decoded == 3
