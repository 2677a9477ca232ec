"""Every field of a NIfTI header is taken as the standard's library takes it, or refused by its name."""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.images import check, decode, frame_count
from model.imaging.rendering import Rendering, Window
from tests.support.image_files.volumes import HEAD, nifti_with

MAX_PIXELS = 10_000
WHOLE = Window(127.5, 255)
AXIAL = HEAD[::-1, ::-1, 2].T  # the middle slice of `HEAD`, upright
NAN = math.nan
NO_SFORM: dict[str, Any] = {"srow_x": 0, "srow_y": 0, "srow_z": 0}
# The forms of an image whose axes run to the left, posterior and superior: a rotation by 180 degrees.
TURNED: dict[str, Any] = {"qform_code": 1, "quatern_d": 1}
VERSIONS = pytest.mark.parametrize("version", [1, 2])


def rendered(data: bytes, **rendering: Any) -> NDArray[np.uint8]:
    """A slice, in a window that keeps values from 0 to 255."""
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(window=WHOLE, **rendering)))


@VERSIONS
@pytest.mark.parametrize("row", [(0, 0, 0, 0), (NAN, 0, 0, 0), (math.inf, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1e-30, 0)])
def test_an_sform_without_directions_gives_way_to_the_qform(row: Any, version: int) -> None:
    assert np.array_equal(rendered(nifti_with(srow_x=row, version=version, **TURNED)), HEAD[:, :, 2].T)


@VERSIONS
def test_an_sform_that_can_be_used_comes_before_the_qform(version: int) -> None:
    assert np.array_equal(rendered(nifti_with(version=version, **TURNED)), AXIAL)
    tiny: dict[str, Any] = {"srow_x": (1e-30, 0, 0, 0), "srow_y": (0, 1e-30, 0, 0), "srow_z": (0, 0, 1e30, 0)}
    assert np.array_equal(rendered(nifti_with(version=version, **tiny, **TURNED)), AXIAL)


@pytest.mark.parametrize("fields", [{"sform_code": 0}, NO_SFORM, {**NO_SFORM, "qform_code": 1, "quatern_b": NAN}])
@pytest.mark.parametrize("pixdim", [1, -1, 0, NAN])
def test_without_forms_the_axes_run_to_the_left_anterior_and_superior(fields: dict[str, Any], pixdim: float) -> None:
    """The convention of Analyze and nibabel; the size of a voxel has no effect."""
    assert np.array_equal(rendered(nifti_with(pixdim=pixdim, **fields)), HEAD[:, ::-1, 2].T)


@pytest.mark.parametrize("length", [1, 1.0005, 1.2, 3, 1e30])
def test_a_quaternion_that_is_too_long_is_normalised(length: float) -> None:
    data = nifti_with(**{**TURNED, "quatern_d": length}, sform_code=0)
    assert np.array_equal(rendered(data), HEAD[:, :, 2].T)


@pytest.mark.parametrize(("qfac", "step"), [(1, 1), (0, 1), (NAN, 1), (-1, -1), (-2, -1)])
def test_a_negative_qfac_turns_the_third_axis(qfac: float, step: int) -> None:
    data = nifti_with(sform_code=0, pixdim=[qfac, *[1] * 7], **TURNED)
    for frame in range(5):
        assert np.array_equal(rendered(data, frame=frame), HEAD[:, :, ::step][:, :, frame].T)


@pytest.mark.parametrize("shape", [(6, 4, 1), (6, 1, 4), (1, 6, 4), (6, 4)])
def test_the_normal_stands_in_for_the_direction_across_one_slice(shape: tuple[int, ...]) -> None:
    single = shape.index(1) if 1 in shape else 2
    rows = np.eye(3, 4)
    rows[:, single] = 0
    data = nifti_with(HEAD[:, :, 0].reshape(shape), srow_x=rows[0], srow_y=rows[1], srow_z=rows[2], **TURNED)
    for axis in ("axial", "coronal", "sagittal"):  # it is a picture: the axis has no effect
        assert np.array_equal(rendered(data, axis=axis), HEAD[::-1, ::-1, 0].T)
        assert frame_count(data, max_pixels=MAX_PIXELS, rendering=Rendering(axis=axis)) == 1


def test_a_volume_of_several_slices_needs_all_directions() -> None:
    assert np.array_equal(rendered(nifti_with(srow_z=0, **TURNED)), HEAD[:, :, 2].T)


@pytest.mark.parametrize(("version", "lowest"), [(1, 352), (2, 544)])
@pytest.mark.parametrize("offset", [0, 1, 348, 351.5, -5, NAN, -math.inf, 544])
def test_values_lie_behind_the_header_whatever_it_says(version: int, lowest: int, offset: float) -> None:
    if version == 2 and not math.isfinite(offset):
        return  # a whole number there
    if offset == 544 and version == 1:
        data = nifti_with(behind_header=bytes(544 - 348), vox_offset=544)
    else:
        data = nifti_with(version=version, vox_offset=offset)
    assert np.array_equal(rendered(data), AXIAL)


def test_a_fraction_of_vox_offset_is_cut_off() -> None:
    assert np.array_equal(rendered(nifti_with(vox_offset=352.75)), AXIAL)


def test_an_offset_within_the_header_needs_a_whole_file() -> None:
    """A file without the four bytes behind the header would otherwise be shown shifted by two voxels."""
    with pytest.raises(ImageDecodeError, match="cut short"):
        rendered(nifti_with(behind_header=b"", vox_offset=348), frame=0)


@pytest.mark.parametrize("version", [1, 2])
def test_extensions_where_the_offset_places_the_values_are_refused(version: int) -> None:
    extension = b"\1\0\0\0" + struct.pack("<ii", 16, 4) + bytes(8)
    data = nifti_with(version=version, behind_header=extension)
    assert np.array_equal(rendered(data), AXIAL)
    with pytest.raises(ImageDecodeError, match="its vox_offset places the values where its extensions are"):
        rendered(nifti_with(version=version, behind_header=extension, vox_offset=0))


def test_an_offset_behind_the_end_is_named() -> None:
    for offset in (10_000, 1e30):
        with pytest.raises(ImageDecodeError, match="vox_offset places the values behind its end"):
            rendered(nifti_with(vox_offset=offset))
    with pytest.raises(ImageDecodeError, match="vox_offset, the place of the values, is infinite"):
        rendered(nifti_with(vox_offset=math.inf))


@VERSIONS
@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [
        *((slope, 7, HEAD) for slope in (0, NAN, math.inf, -math.inf)),
        *((2, intercept, HEAD * 2) for intercept in (NAN, math.inf)),
        (0.5, 20, HEAD * 0.5 + 20),
        (-1, 255, 255 - HEAD),
    ],
)
def test_a_slope_or_intercept_without_meaning_has_no_effect(
    slope: float, intercept: float, expected: Any, version: int
) -> None:
    data = nifti_with(scl_slope=slope, scl_inter=intercept, version=version)
    assert np.array_equal(rendered(data), np.clip(np.rint(expected[::-1, ::-1, 2].T), 0, 255))


@pytest.mark.parametrize(("datatype", "samples"), [(128, 3), (2304, 4)])
def test_colours_are_shown_without_alpha(datatype: int, samples: int, tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (samples, 6, 4, 5)).astype(np.uint8)
    fields: dict[str, Any] = {"datatype": datatype, "bitpix": 8 * samples, "dim": (3, 6, 4, 5, 1, 1, 1, 1)}
    data = nifti_with(colours, **fields)
    file = tmp_path / "colours.nii"
    file.write_bytes(data)
    upright = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(file)), "LPS"))
    for frame, picture in enumerate(upright):
        assert np.array_equal(rendered(data, frame=frame), picture[..., :3])
        assert np.array_equal(rendered(nifti_with(colours, scl_slope=3, **fields), frame=frame), picture[..., :3])


@pytest.mark.parametrize(
    "dim",
    [(5, 6, 4, 5, 1, 1, 0, 0), (7, 6, 4, 5, 1, 1, 1, 1), (4, 6, 4, 5, 0, 0, 0, 0), (3, 6, 4, 5, 0, 9, -1, 7)],
)
def test_dimensions_of_size_1_or_0_behind_the_third_do_not_count(dim: Any) -> None:
    assert np.array_equal(rendered(nifti_with(dim=dim)), AXIAL)


@pytest.mark.parametrize("third", [0, 1])
def test_a_picture_is_a_volume_of_one_slice(third: int) -> None:
    data = nifti_with(HEAD[:, :, 0])
    assert np.array_equal(rendered(data), HEAD[::-1, ::-1, 0].T)
    assert np.array_equal(rendered(nifti_with(HEAD[:, :, 0], dim=(3, 6, 4, third, 1, 1, 1, 1))), rendered(data))


def test_bitpix_is_not_believed() -> None:
    assert np.array_equal(rendered(nifti_with(bitpix=64)), AXIAL)


@pytest.mark.parametrize("order", ["<", ">"])
@VERSIONS
@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"datatype": 32}, ImageFormatUnsupported, "complex numbers"),
        ({"datatype": 1792}, ImageFormatUnsupported, "complex numbers"),
        ({"datatype": 2048}, ImageFormatUnsupported, "complex numbers"),
        ({"datatype": 1536}, ImageFormatUnsupported, "128-bit floats"),
        ({"datatype": 1}, ImageFormatUnsupported, "single bits"),
        ({"datatype": 0}, ImageDecodeError, "datatype is not one of the codes"),
        ({"datatype": -3}, ImageDecodeError, "datatype is not one of the codes"),
        ({"dim": (0, 6, 4, 5, 1, 1, 1, 1)}, ImageDecodeError, r"dim\[0\], the number of dimensions, must lie between"),
        ({"dim": (8, 6, 4, 5, 1, 1, 1, 1)}, ImageDecodeError, r"dim\[0\], the number of dimensions, must lie between"),
        ({"dim": (-3, 6, 4, 5, 1, 1, 1, 1)}, ImageDecodeError, r"dim\[0\], the number of dimensions, must lie between"),
        ({"dim": (1, 6, 4, 5, 1, 1, 1, 1)}, ImageFormatUnsupported, "one dimension; a picture needs two"),
        ({"dim": (3, 0, 4, 5, 1, 1, 1, 1)}, ImageDecodeError, "each size must be at least 1"),
        ({"dim": (3, 6, 0, 5, 1, 1, 1, 1)}, ImageDecodeError, "each size must be at least 1"),
        ({"dim": (3, 6, 4, -5, 1, 1, 1, 1)}, ImageDecodeError, "each size must be at least 1"),
        ({"dim": (4, 6, 4, 5, -1, 1, 1, 1)}, ImageDecodeError, "each size must be at least 1"),
        ({"dim": (5, 6, 4, 1, 1, 5, 1, 1)}, ImageFormatUnsupported, "vectors or matrices in its fifth"),
        ({"dim": (7, 6, 4, 1, 1, 1, 1, 5)}, ImageFormatUnsupported, "vectors or matrices in its fifth"),
    ],
)
def test_fields_that_cannot_be_used_are_refused_by_their_name(
    fields: dict[str, Any], kind: type[Exception], words: str, version: int, order: str
) -> None:
    data = nifti_with(version=version, order=order, **fields)
    for function in (check, decode):
        with pytest.raises(kind, match=words):
            function(data, max_pixels=MAX_PIXELS)


@VERSIONS
def test_a_header_whose_values_lie_in_another_file_is_named(version: int) -> None:
    with pytest.raises(ImageFormatUnsupported, match=r"one of two \(.hdr and .img\); convert them to one .nii file"):
        check(nifti_with(version=version, magic=b"ni%d" % version), max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_analyze_header_is_named(order: str) -> None:
    with pytest.raises(ImageFormatUnsupported, match="is an Analyze header, whose values lie in another file"):
        check(nifti_with(order=order, magic=b"")[:348], max_pixels=MAX_PIXELS)


def test_a_file_that_ends_within_its_header_is_cut_short() -> None:
    with pytest.raises(ImageDecodeError, match="cut short: it ends within its header"):
        check(nifti_with(version=2)[:400], max_pixels=MAX_PIXELS)


def test_nothing_of_a_header_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    rendered(nifti_with(pixdim=-3, vox_offset=348, qform_code=77, bitpix=3, descrip=b"SECRET"))
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
