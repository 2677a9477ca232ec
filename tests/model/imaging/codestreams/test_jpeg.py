"""Marker segments of JPEG files that Pillow and CharLS write."""

import imagecodecs
import numpy as np
import pytest

from model.imaging.codestreams.jpeg import ENDS, LS, SCAN, has_all_scans, has_end, read_frame, segments
from tests.support.samples import picture, saved

JPEG = saved(picture(0, (9, 6)), "JPEG")


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


def test_a_jpeg_is_whole_if_it_has_its_end_and_all_scans() -> None:
    progressive = saved(picture(0, (64, 64)), "JPEG", progressive=True)
    last_scan = progressive.rindex(b"\xff\xda")
    assert has_end(JPEG)
    assert not has_end(JPEG[:-2])
    assert all(has_end(JPEG[:-2] + end) for end in ENDS)
    assert has_all_scans(progressive)
    assert not has_all_scans(progressive[:last_scan])
