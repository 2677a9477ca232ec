"""The entry point: the reader that a file gets."""

import gzip
import importlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.images import check, decode, frame_count, open_image
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


DEFLATED = ct(np.zeros((3, 8, 8), np.uint8), TransferSyntaxUID=DeflatedExplicitVRLittleEndian)
GZIPPED_NRRD = nrrd(payload=gzip.compress(HEAD.tobytes()), encoding="gzip")


@pytest.mark.parametrize(
    ("data", "inflates"),
    [
        *((data, False) for data, _ in FILES.values()),
        (gzip.compress(nifti()), True),
        (GZIPPED_NRRD, True),
        (DEFLATED, True),
    ],
)
def test_a_compressed_volume_or_data_set_inflates(data: bytes, inflates: bool) -> None:
    assert open_image(data, max_pixels=MAX_PIXELS).inflates is inflates


@pytest.mark.parametrize(
    ("kind", "reader"), [("DICOM", "dicom.reader"), ("NIfTI", "volumes.nifti"), ("NRRD", "volumes.nrrd")]
)
def test_a_missing_extra_is_named(kind: str, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"model.imaging.{reader}", None)
    with pytest.raises(ImageFormatUnsupported, match=rf"format {kind}, which needs .*\[{kind.lower()}\]"):
        decode(FILES[kind][0], max_pixels=MAX_PIXELS)


def test_one_thread_at_a_time_imports_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the second thread may get half of nibabel or pydicom, and say that an extra is missing."""
    at_once, most = 0, 0
    import_module = importlib.import_module

    def slow_import(name: str) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.01)
        at_once -= 1
        return import_module(name)

    monkeypatch.setattr("model.imaging.images.importlib.import_module", slow_import)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda file: frame_count(file[0], max_pixels=MAX_PIXELS), FILES.values())) == [
            count for _, count in FILES.values()
        ]
    assert most == 1


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
