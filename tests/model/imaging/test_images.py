"""The entry point: the reader that a file gets."""

import sys

import numpy as np
import pytest
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.images import check, decode, frame_count
from model.imaging.rendering import Rendering
from tests.support.image_files.dicom import ct
from tests.support.image_files.volumes import HEAD, nifti, nrrd
from tests.support.samples import png, saved

MAX_PIXELS = 10_000
PAGES = [Image.new("L", (8, 8), level) for level in range(4)]
FILES = {
    "PNG": (png(), 1),
    "TIFF": (saved(PAGES[0], "TIFF", save_all=True, append_images=PAGES[1:]), 4),
    "DICOM": (ct(np.zeros((3, 8, 8), np.uint8)), 3),
    "NIfTI": (nifti(), 5),
    "NRRD": (nrrd(HEAD.T.copy(), space="RAS", space_directions="(1,0,0) (0,1,0) (0,0,1)"), 5),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_format_is_checked_counted_and_decoded(kind: str) -> None:
    data, frames = FILES[kind]
    last = Rendering(frame=frames - 1)
    check(data, max_pixels=MAX_PIXELS, rendering=last)
    assert frame_count(data, max_pixels=MAX_PIXELS) == frames
    assert decode(data, max_pixels=MAX_PIXELS, rendering=last).mode in ("L", "RGB")


@pytest.mark.parametrize(
    ("kind", "reader"), [("DICOM", "dicom.reader"), ("NIfTI", "volumes.nifti"), ("NRRD", "volumes.nrrd")]
)
def test_a_missing_extra_is_named(kind: str, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"model.imaging.{reader}", None)
    with pytest.raises(ImageFormatUnsupported, match=rf"format {kind}, which needs .*\[{kind.lower()}\]"):
        decode(FILES[kind][0], max_pixels=MAX_PIXELS)


def test_an_unforeseen_error_of_a_reader_refuses_the_image_and_names_its_place_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read_layout(data: bytes) -> None:
        raise KeyError("SECRET")

    monkeypatch.setattr("model.imaging.raster.reader.read_layout", read_layout)
    with pytest.raises(ImageDecodeError, match="the image is damaged and cannot be read; send the file again"):
        check(png(), max_pixels=MAX_PIXELS)
    [record] = caplog.records
    assert "refused because of an unforeseen KeyError in model.imaging.raster.reader, line" in record.getMessage()
    assert "SECRET" not in caplog.text
