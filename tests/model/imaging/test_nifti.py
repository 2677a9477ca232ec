"""NIfTI: a slice of a volume, upright whatever way it is stored."""

import gzip
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.images import check, decode, frame_count
from model.imaging.rendering import AS_STORED, Axis, Rendering, Window
from model.imaging.volumes import MOST_BYTES

MAX_PIXELS = 10_000
# 6 voxels to the right, 4 to anterior, 5 to superior; the value tells all three.
HEAD = np.add.outer(np.add.outer(np.arange(6), 10 * np.arange(4)), 40 * np.arange(5)).astype(np.int16)
ALL = Window(127.5, 255)
AXES: tuple[Axis, ...] = ("sagittal", "coronal", "axial")


def stored(values: Any = HEAD, codes: str = "RAS", kind: Any = nibabel.Nifti1Image) -> bytes:
    """A NIfTI file of a volume in right-anterior-superior order, stored in another order."""
    image = kind(values, np.eye(4))
    start, end = nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
    data: bytes = image.as_reoriented(nibabel.orientations.ornt_transform(start, end)).to_bytes()
    return data


def shown(data: bytes, **rendering: Any) -> NDArray[np.uint8]:
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(window=ALL, **rendering)))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "SRP", "AIL"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_slices_hang_as_on_a_light_box(codes: str, kind: Any) -> None:
    data = stored(codes=codes, kind=kind)
    # The patient's right on the left, anterior or superior on top; a sagittal slice looks to the left.
    assert np.array_equal(shown(data, frame=1), HEAD[::-1, ::-1, 1].T)
    assert np.array_equal(shown(data, axis="coronal", frame=1), HEAD[::-1, 1, ::-1].T)
    assert np.array_equal(shown(data, axis="sagittal", frame=1), HEAD[1, ::-1, ::-1].T)


def test_the_middle_axial_slice_is_the_usual_one() -> None:
    assert np.array_equal(shown(stored()), shown(stored(), frame=2))
    counts = [frame_count(stored(), max_pixels=MAX_PIXELS, rendering=Rendering(axis=axis)) for axis in AXES]
    assert counts == [6, 4, 5]


def test_of_a_series_in_time_the_first_volume_counts() -> None:
    series = np.stack([HEAD, HEAD + 7], axis=-1)
    assert np.array_equal(shown(stored(series), frame=0), shown(stored(), frame=0))


def test_gzip_and_scaling_are_undone() -> None:
    image = nibabel.Nifti1Image(HEAD.astype(np.float32), np.eye(4))
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.5, -3)
    data = gzip.compress(image.to_bytes())
    right = np.rint(HEAD[::-1, ::-1, 4].T * 0.5 - 3)
    assert np.array_equal(shown(data, frame=4), right)


def test_without_a_window_the_slices_own_range_counts() -> None:
    greys = np.asarray(decode(stored(1000 * HEAD.astype(np.float32)), max_pixels=MAX_PIXELS))
    assert (greys.min(), greys.max()) == (0, 255)


def refused(data: bytes, kind: type[Exception], words: str, rendering: Rendering = AS_STORED) -> None:
    for function in (check, decode):
        with pytest.raises(kind, match=words):
            function(data, max_pixels=MAX_PIXELS, rendering=rendering)


def test_bad_files_are_refused() -> None:
    data = stored()
    refused(data, ImageDecodeError, "has 5 frames, counted from 0: there is no frame 5", Rendering(frame=5))
    refused(stored(np.zeros((2, 2, 2, 2, 2), np.int16)), ImageDecodeError, "no volume of numbers")
    for cut_short in (data[:400], gzip.compress(data)[:-9]):
        with pytest.raises(ImageDecodeError, match="damaged or cut short"):
            decode(cut_short, max_pixels=MAX_PIXELS)


def test_bombs_are_refused_by_their_size() -> None:
    header = nibabel.Nifti1Header()
    header.set_data_shape((30_000, 30_000, 30_000))
    header["magic"], header["vox_offset"] = b"n+1", 352
    refused(header.binaryblock + bytes(100), ImageTooLarge, "10,000 pixels")
    zeros = gzip.compress(stored() + bytes(MOST_BYTES), compresslevel=1)
    refused(zeros, ImageTooLarge, "more than 268,435,456 bytes uncompressed")
