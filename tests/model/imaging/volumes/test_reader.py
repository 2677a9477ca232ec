"""What all formats of volumes share: one inflation per file, errors, and greys that keep small differences."""

import bz2
import contextlib
import gzip
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import ImageDecodeError
from model.imaging.images import check, decode, open_image
from model.imaging.rendering import AnyWindow, PercentileWindow, Rendering, Window
from model.imaging.volumes import nifti, nrrd
from tests.support.image_files.volumes import AXES, HEAD, nifti_with
from tests.support.image_files.volumes import nrrd as nrrd_file

MAX_PIXELS = 10_000
HEAD_BYTES = 65_536  # what `model.data.manifest` reads first
NOISE = np.random.default_rng(0).integers(-(2**15), 2**15, (60, 50, 40)).astype(np.int16)


def greys(data: bytes, window: AnyWindow | None = None) -> NDArray[np.uint8]:
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(window=window)))


@pytest.mark.parametrize(
    ("module", "data"),
    [
        (nifti, gzip.compress(nifti_with())),
        (nifti, gzip.compress(nifti_with())[:-1]),
        (nrrd, nrrd_file(HEAD.T.copy(), gzip.compress(HEAD.tobytes(order="F")), encoding="gzip")),
    ],
    ids=["NIfTI", "damaged NIfTI", "NRRD"],
)
def test_a_volume_is_inflated_once_for_all_of_its_frames(
    module: Any, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflated = []

    def counted(*arguments: Any, **options: Any) -> Any:
        inflated.append(arguments)
        return inflate(*arguments, **options)

    inflate = module.inflate
    monkeypatch.setattr(module, "inflate", counted)
    file = open_image(data, max_pixels=MAX_PIXELS)
    for axis in AXES:
        for frame in range(file.frame_count(Rendering(axis=axis))):
            file.check(Rendering(axis=axis, frame=frame))
    assert not inflated
    for axis in AXES:
        for frame in range(file.frame_count(Rendering(axis=axis))):
            with contextlib.suppress(ImageDecodeError):
                file.decode(Rendering(axis=axis, frame=frame))
    assert len(inflated) == 1


@pytest.mark.parametrize(
    "data",
    [
        nifti_with(NOISE),
        gzip.compress(nifti_with(NOISE)),
        nrrd_file(NOISE),
        nrrd_file(NOISE, gzip.compress(NOISE.tobytes()), encoding="gzip"),
        nrrd_file(NOISE, bz2.compress(NOISE.tobytes()), encoding="bzip2"),
    ],
    ids=["NIfTI", "NIfTI in gzip", "NRRD", "NRRD in gzip", "NRRD in bzip2"],
)
def test_the_beginning_of_a_file_is_enough_to_check_it(data: bytes) -> None:
    assert len(data) > HEAD_BYTES
    check(data[:HEAD_BYTES], max_pixels=MAX_PIXELS)
    with pytest.raises(ImageDecodeError, match=r"the N[A-Za-z]* file is cut short"):
        decode(data[:HEAD_BYTES], max_pixels=MAX_PIXELS, rendering=Rendering(frame=39))
    decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(frame=39))


@pytest.mark.parametrize(
    ("kind", "base", "step"),
    [
        ("i4", 2**30, 1),
        ("u4", 2**32 - 100, 1),
        ("i8", -(2**62), 1),
        ("u8", 2**64 - 100, 1),
        ("f8", 1e9, 1e-5),
        ("f8", 0, 1e306),
        ("f4", 0, 1e36),
    ],
)
@pytest.mark.parametrize("is_nifti", [True, False])
def test_no_type_loses_the_differences_between_its_values(kind: str, base: Any, step: Any, is_nifti: bool) -> None:
    """float32 keeps 24 bits: four values 2**30 to 2**30 + 3 would be one grey."""
    number = np.dtype(kind).type
    values = (number(base) + np.arange(100).astype(kind) * number(step)).reshape(10, 10)
    name = {"f4": "float", "f8": "double", "i4": "int32", "u4": "uint32", "i8": "int64", "u8": "uint64"}[kind]
    data = nifti_with(values) if is_nifti else nrrd_file(values.T.copy(), type=name)
    assert len(np.unique(greys(data))) >= 99


def test_a_scaled_volume_keeps_small_differences_on_a_large_intercept() -> None:
    values = np.arange(100, dtype=np.int16).reshape(10, 10)
    assert len(np.unique(greys(nifti_with(values, scl_slope=0.125, scl_inter=1e8)))) >= 99
    assert len(np.unique(greys(nifti_with(values, scl_slope=0.125, scl_inter=1e6), Window(1e6 + 6, 12)))) >= 95


def test_infinite_values_are_black_and_white_and_nan_is_black() -> None:
    values = np.arange(100, dtype=np.float32).reshape(10, 10)
    values[:3, 0] = (np.nan, np.inf, -np.inf)
    picture = greys(nifti_with(values))[::-1, ::-1].T  # as stored
    assert picture[:3, 0].tolist() == [0, 255, 0]
    assert len(np.unique(picture)) >= 95
    assert greys(nifti_with(np.full((4, 4), np.nan, np.float64))).max() == 0


@pytest.mark.parametrize("kind", ["i2", "u1", "f4", "f8", "i8", "u8"])
@pytest.mark.parametrize("slope", [1, -0.5])
def test_percentiles_are_those_of_the_scaled_values(kind: str, slope: float) -> None:
    stored = np.arange(121).astype(kind).reshape(11, 11)
    ranks = np.arange(121).reshape(11, 11) / 120 * 100 if slope > 0 else np.arange(120, -1, -1).reshape(11, 11) / 1.2
    expected = np.rint(np.clip((ranks - 10) / 85, 0, 1) * 255)
    picture = greys(nifti_with(stored, scl_slope=slope, scl_inter=3), PercentileWindow(10, 95))[::-1, ::-1].T
    assert np.abs(picture - expected).max() <= 1
    assert np.array_equal(greys(nifti_with(stored), PercentileWindow()), greys(nifti_with(stored)))
