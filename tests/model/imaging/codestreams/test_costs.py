"""What the pictures of one file may cost together."""

from collections.abc import Callable
from typing import Any

import pytest
from pydicom.uid import JPEGBaseline8Bit

from model.errors import ImageTooLarge, InvalidInput
from model.imaging.codestreams import jpeg, jpeg_2000
from model.imaging.codestreams.costs import MAX_FILE_COST, FileCost
from model.imaging.images import open_image
from model.imaging.rendering import Rendering
from tests.support.image_files.bombs.codestreams import (
    black_codestream,
    codestream_of_layers,
    jpeg_claiming,
    jpeg_of_scans,
)
from tests.support.image_files.bombs.dicom import with_codestreams
from tests.support.image_files.bombs.tiff import pages_of_shared_tile

MAX_PIXELS = 64_000_000
COSTLY = codestream_of_layers(4000)  # 16 x 16 pixels, a million packets
TOGETHER = "the frames of the image have together too many scans, tiles, code blocks or packets"


def test_the_costs_of_pictures_are_added_up_to_a_limit() -> None:
    cost = FileCost()
    cost.add(MAX_FILE_COST)
    with pytest.raises(ImageTooLarge, match=TOGETHER):
        cost.add(0.01)


@pytest.mark.parametrize(
    "make",
    [lambda: pages_of_shared_tile(1000, COSTLY), lambda: with_codestreams(COSTLY, 1000, side=16)],
    ids=["TIFF", "DICOM"],
)
def test_a_thousand_frames_may_not_share_one_costly_codestream(make: Callable[[], bytes]) -> None:
    file = open_image(make(), max_pixels=MAX_PIXELS)
    allowed = int(MAX_FILE_COST / jpeg_2000.cost(COSTLY))
    for number in range(allowed):
        file.decode(Rendering(frame=number))
    with pytest.raises(ImageTooLarge, match=TOGETHER):
        file.decode(Rendering(frame=allowed))


def test_a_thousand_usual_frames_are_read() -> None:
    usual = black_codestream(64)
    for data in (pages_of_shared_tile(1000, black_codestream(16)), with_codestreams(usual, 1000, side=64)):
        file = open_image(data, max_pixels=MAX_PIXELS)
        for number in range(1000):
            assert file.decode(Rendering(frame=number)).width in (16, 64)


def test_the_scans_of_a_jpeg_count_by_their_pixels() -> None:
    usual = jpeg_claiming(8000, progressive=True)
    frame = jpeg.read_frame(usual)
    assert frame is not None
    assert jpeg.cost(usual, frame) == 10 * 8000 * 8000 / jpeg.MAX_SCAN_PIXELS < 1
    many = jpeg_of_scans(96, 800)
    small = jpeg.read_frame(many)
    assert small is not None
    assert jpeg.cost(many, small) < 1 < jpeg.cost(many, frame)
    for data in (
        jpeg_of_scans(18, 8000),
        with_codestreams(jpeg_of_scans(18, 8000), 1, JPEGBaseline8Bit),
    ):
        with pytest.raises(InvalidInput, match="too many for its size"):
            open_image(data, max_pixels=MAX_PIXELS).decode(Rendering())


@pytest.mark.parametrize(
    ("options", "bytes_per_pixel"),
    [
        ({}, 0),
        ({"progressive": True, "subsampling": 0}, 6),
        ({"progressive": True, "subsampling": 1}, 4),
        ({"progressive": True, "subsampling": 2}, 3),
        ({"progressive": True, "mode": "L"}, 2),
    ],
)
def test_libjpeg_holds_the_coefficients_of_a_progressive_jpeg(options: dict[str, Any], bytes_per_pixel: int) -> None:
    data = jpeg_claiming(100, **options)
    for same in (data, data.replace(b"\xff\xc2", b"\xff\xca")):  # with Huffman and with arithmetic coding
        frame = jpeg.read_frame(same)
        assert frame is not None
        assert jpeg.coefficient_bytes(same, frame) == bytes_per_pixel * 100 * 100
