"""Marker segments of JPEG files that Pillow and CharLS write."""

import imagecodecs
import numpy as np
import pytest

from model.imaging.codestreams.jpeg import ENDS, LS, SCAN, count_scans, has_all_scans, has_end, read_frame, segments
from tests.support.image_files.bombs.codestreams import jpeg_segment
from tests.support.samples import picture, saved

JPEG = saved(picture(0, (9, 6)), "JPEG")
PROGRESSIVE = saved(picture(0, (64, 64)), "JPEG", progressive=True)
ARITHMETIC = PROGRESSIVE.replace(b"\xff\xc2", b"\xff\xca")  # the header of an arithmetic coder, which Pillow reads too


def test_the_frame_header_is_read() -> None:
    frame = read_frame(JPEG)
    assert frame is not None
    assert (frame.marker, frame.bits, frame.width, frame.height, frame.components) == (0xC0, 8, 9, 6, b"\1\2\3")


def test_the_frame_header_of_jpeg_ls_is_read() -> None:
    frame = read_frame(bytes(imagecodecs.jpegls_encode(np.zeros((6, 9), np.uint16))))
    assert frame is not None
    assert (frame.marker, frame.bits, frame.width, frame.height) == (LS, 16, 9, 6)


@pytest.mark.parametrize("data", [b"", b"noise" * 20, JPEG[:30], b"\xff" * 100, b"\xff\xd8" + b"\xff\xd0" * 100_000])
def test_other_bytes_have_no_frame_header(data: bytes) -> None:
    assert read_frame(data) is None


def test_segments_end_with_the_first_scan_header_and_bytes_between_them_are_passed_over() -> None:
    usual = list(segments(JPEG))
    assert usual[-1][0] == SCAN
    assert list(segments(JPEG[:20] + b"between" + JPEG[20:])) == usual


def test_a_jpeg_is_whole_if_it_has_its_end() -> None:
    assert has_end(JPEG)
    assert not has_end(JPEG[:-2])
    assert all(has_end(JPEG[:-2] + end) for end in ENDS)


@pytest.mark.parametrize("data", [PROGRESSIVE, ARITHMETIC], ids=["Huffman", "arithmetic"])
def test_a_progressive_jpeg_is_whole_if_it_has_all_scans(data: bytes) -> None:
    assert has_all_scans(data)
    assert not has_all_scans(data[: data.rindex(b"\xff\xda")])


def test_a_thumbnail_and_bytes_behind_the_end_are_not_the_picture() -> None:
    more = PROGRESSIVE[:2] + jpeg_segment(0xE1, b"Exif\0\0" + JPEG) + PROGRESSIVE[2:]
    last_scan = more.rindex(b"\xff\xda")
    assert count_scans(more + JPEG + b"\xff\xda" * 1000) == count_scans(PROGRESSIVE) == 10
    assert has_all_scans(more)
    assert not has_all_scans(more[:last_scan])
    assert not has_end(more[:-2])
    assert has_end(more + b"\xff\xda")


def test_a_comment_between_scans_does_not_end_the_picture() -> None:
    second_scan = PROGRESSIVE.index(b"\xff\xda", PROGRESSIVE.index(b"\xff\xda") + 2)
    head, scans = PROGRESSIVE[:second_scan] + jpeg_segment(0xFE, b"\xff\xd9"), PROGRESSIVE[second_scan:]
    assert count_scans(head + scans) == 10
    assert not has_end((head + scans)[:-2])
    assert count_scans(head + jpeg_segment(0xFE, b"") * 20_000 + scans) == 10
