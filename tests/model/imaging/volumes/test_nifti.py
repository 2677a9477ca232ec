"""NIfTI files: slices are upright, however the volume is stored."""

import gzip
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.images import check, decode, frame_count
from model.imaging.limits import MAX_VOLUME_BYTES
from model.imaging.rendering import AS_STORED, Rendering, Window
from tests.support.image_files.volumes import AXES, HEAD, nifti, nifti_with

MAX_PIXELS = 10_000
WHOLE = Window(127.5, 255)


def rendered(data: bytes, **rendering: Any) -> NDArray[np.uint8]:
    """A slice, in a window that keeps values from 0 to 255."""
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(window=WHOLE, **rendering)))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "SRP", "AIL"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_slices_follow_the_radiological_convention(codes: str, kind: Any) -> None:
    data = nifti(codes=codes, kind=kind)
    # The patient's right is on the left; anterior or superior is up. In a sagittal slice, anterior is on the left.
    assert np.array_equal(rendered(data, frame=1), HEAD[::-1, ::-1, 1].T)
    assert np.array_equal(rendered(data, axis="coronal", frame=1), HEAD[::-1, 1, ::-1].T)
    assert np.array_equal(rendered(data, axis="sagittal", frame=1), HEAD[1, ::-1, ::-1].T)


def test_the_middle_axial_slice_is_the_default() -> None:
    assert np.array_equal(rendered(nifti()), rendered(nifti(), frame=2))
    counts = [frame_count(nifti(), max_pixels=MAX_PIXELS, rendering=Rendering(axis=axis)) for axis in AXES]
    assert counts == [6, 4, 5]


def test_the_first_volume_of_a_time_series_is_used() -> None:
    series = np.stack([HEAD, HEAD + 7], axis=-1)
    assert np.array_equal(rendered(nifti(series), frame=0), rendered(nifti(), frame=0))


def test_gzip_and_scaling_are_undone() -> None:
    image = nibabel.Nifti1Image(HEAD.astype(np.float32), np.eye(4))
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.5, -3)
    data = gzip.compress(image.to_bytes())
    expected = np.rint(HEAD[::-1, ::-1, 4].T * 0.5 - 3)
    assert np.array_equal(rendered(data, frame=4), expected)


def test_without_a_window_the_percentiles_of_the_slice_are_used() -> None:
    greys = np.asarray(decode(nifti(1000 * HEAD.astype(np.float32)), max_pixels=MAX_PIXELS))
    assert (greys.min(), greys.max()) == (0, 255)


def test_the_first_volume_of_a_compressed_series_is_kept_and_the_others_are_verified() -> None:
    series = gzip.compress(nifti(np.stack([HEAD, HEAD + 7], axis=-1)))
    assert np.array_equal(rendered(series, frame=0), rendered(nifti(), frame=0))
    with pytest.raises(ImageDecodeError, match="cut short: its gzip data has no end"):
        rendered(series[:-1])


@pytest.mark.parametrize("size", [100, 347, 500])
def test_members_of_a_gzip_file_are_joined(size: int) -> None:
    data = nifti()
    packed = gzip.compress(b"") + gzip.compress(data[:size]) + gzip.compress(b"") + gzip.compress(data[size:])
    assert np.array_equal(rendered(packed), rendered(data))
    assert np.array_equal(rendered(packed + bytes(512)), rendered(data))


def refused(data: bytes, kind: type[Exception], words: str, rendering: Rendering = AS_STORED) -> None:
    for function in (check, decode):
        with pytest.raises(kind, match=words):
            function(data, max_pixels=MAX_PIXELS, rendering=rendering)


def refused_by_decode(data: bytes, kind: type[Exception], words: str) -> None:
    """The header is good, so that a check finds nothing."""
    check(data, max_pixels=MAX_PIXELS)
    with pytest.raises(kind, match=words):
        decode(data, max_pixels=MAX_PIXELS)


def test_bad_files_are_refused_by_their_fault() -> None:
    data = nifti()
    refused(data, ImageDecodeError, "has 5 frames, counted from 0: there is no frame 5", Rendering(frame=5))
    refused_by_decode(data[:400], ImageDecodeError, "cut short: its header announces more values than it contains")
    refused_by_decode(gzip.compress(data)[:-9], ImageDecodeError, "cut short: its gzip data has no end")
    refused_by_decode(gzip.compress(data[:400]), ImageDecodeError, "contradicts itself: its header announces more val")
    damaged = gzip.compress(data)[:-8] + bytes(8)
    refused_by_decode(damaged, ImageDecodeError, "damaged: its gzip data cannot be unpacked")


def test_a_slice_that_a_file_still_contains_is_shown() -> None:
    data = nifti()
    assert np.array_equal(rendered(data[:-4]), rendered(data))
    with pytest.raises(ImageDecodeError, match="cut short"):
        rendered(data[:-4], frame=4)


def test_bombs_are_refused_by_their_size() -> None:
    huge = nifti_with(dim=(3, 30_000, 30_000, 30_000, 1, 1, 1, 1))
    refused(huge, ImageTooLarge, "10,000 pixels")
    refused(nifti_with(version=2, dim=(4, *[2**62] * 7)), ImageTooLarge, "10,000 pixels")
    refused(gzip.compress(huge), ImageTooLarge, "more than 268,435,456 bytes uncompressed")
    zeros = gzip.compress(nifti() + bytes(MAX_VOLUME_BYTES), compresslevel=1)
    refused_by_decode(zeros, ImageTooLarge, "more than 268,435,456 bytes uncompressed")
