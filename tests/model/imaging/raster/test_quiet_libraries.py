"""No library writes about a hostile file: its lines may quote it."""

import logging

import numpy as np
import pytest

from model.errors import InvalidInput
from model.imaging.images import decode
from tests.support.image_files.bombs.codestreams import jpeg_of_scans
from tests.support.image_files.bombs.tiff import DEFLATE, JPEG, one
from tests.support.image_files.raster import TiffPage, tiff


def test_damaged_tiff_files_leave_no_line(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    noise = np.random.default_rng(0).bytes(500)
    many_samples = {256: 8, 257: 8, 258: [8] * 20, 259: 1, 262: 1, 277: 20, 278: 8}
    for data in (one(noise, DEFLATE), one(noise, 5), one(noise, 4), one(jpeg_of_scans(101, 16), JPEG, 16)):
        with pytest.raises(InvalidInput):
            decode(data, max_pixels=1000)
    decode(tiff([TiffPage(many_samples, [bytes(8 * 8 * 20)])]), max_pixels=1000)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.partition(".")[0] in ("PIL", "tifffile")] == []
