"""NRRD files: slices of volumes are upright, pictures of a stack are as stored."""

import bz2
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.images import check, decode, frame_count
from model.imaging.limits import MAX_VOLUME_BYTES
from model.imaging.rendering import AS_STORED, Axis, Rendering, Window
from tests.support.image_files.volumes import AXES, COLOURS, GREYS, HEAD, nrrd

MAX_PIXELS = 10_000
WHOLE = Window(127.5, 255)
TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]


def itk_file(image: Any, folder: Path, *, compressor: str = "") -> bytes:
    """The NRRD file that ITK writes."""
    file = folder / "image.nrrd"
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(file))
    if compressor:
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
    writer.Execute(image)
    return file.read_bytes()


def itk_head(codes: str, values: Any = HEAD) -> Any:
    """An ITK image whose axes go where the letters of `codes` say; `values` go to the right, anterior and superior."""
    image = sitk.GetImageFromArray(values.T)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # without it, ITK's axes go to the left, posterior and superior
    return sitk.DICOMOrient(image, codes)


def rendered(data: bytes, **rendering: Any) -> NDArray[np.uint8]:
    """A slice, in a window that keeps values from 0 to 255."""
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(window=WHOLE, **rendering)))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "SRP", "AIL"])
@pytest.mark.parametrize("compressor", ["", "gzip"])
def test_slices_follow_the_radiological_convention(codes: str, compressor: str, tmp_path: Path) -> None:
    data = itk_file(itk_head(codes), tmp_path, compressor=compressor)
    # The patient's right is on the left; anterior or superior is up. In a sagittal slice, anterior is on the left.
    assert np.array_equal(rendered(data, frame=1), HEAD[::-1, ::-1, 1].T)
    assert np.array_equal(rendered(data, axis="coronal", frame=1), HEAD[::-1, 1, ::-1].T)
    assert np.array_equal(rendered(data, axis="sagittal", frame=1), HEAD[1, ::-1, ::-1].T)


@pytest.mark.parametrize("axis", AXES)
def test_the_same_volume_as_nifti_gives_the_same_picture(axis: Axis, tmp_path: Path) -> None:
    oblique = itk_head("RAS", np.random.default_rng(1).normal(0, 1000, (9, 8, 7)))
    turn = sitk.VersorTransform((1, 2, 3), 0.4)
    oblique.SetDirection((np.reshape(turn.GetMatrix(), (3, 3)) @ np.reshape(oblique.GetDirection(), (3, 3))).ravel())
    oblique.SetSpacing((0.5, 2, 3))
    sitk.WriteImage(oblique, str(tmp_path / "image.nii"))
    for rendering in (Rendering(axis=axis), Rendering(axis=axis, frame=1, window=Window(40, 80))):
        files = (itk_file(oblique, tmp_path), (tmp_path / "image.nii").read_bytes())
        ours, nifti = (decode(data, max_pixels=MAX_PIXELS, rendering=rendering) for data in files)
        assert ours == nifti


@pytest.mark.parametrize("space", ["right-anterior-superior", "RAS", "left-anterior-superior", "LAS", "LPS"])
def test_the_axes_go_where_the_space_says(space: str, tmp_path: Path) -> None:
    data = nrrd(HEAD.T.copy(), space=space, space_directions="(0,-2,0) (0.1,0,1) (1,0,0)")
    file = tmp_path / "image.nrrd"
    file.write_bytes(data)
    upright = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(file)), "LPS"))
    assert frame_count(data, max_pixels=MAX_PIXELS) == len(upright)
    for frame, picture in enumerate(upright):
        assert np.array_equal(rendered(data, frame=frame), picture)


def test_the_middle_axial_slice_is_the_default(tmp_path: Path) -> None:
    data = itk_file(itk_head("RAS"), tmp_path)
    assert np.array_equal(rendered(data), rendered(data, frame=2))
    counts = [frame_count(data, max_pixels=MAX_PIXELS, rendering=Rendering(axis=axis)) for axis in AXES]
    assert counts == [6, 4, 5]


@pytest.mark.parametrize("number", TYPES)
@pytest.mark.parametrize("order", ["little", "big"])
def test_numbers_of_every_type_are_read(number: str, order: str, tmp_path: Path) -> None:
    values = (HEAD // 4).astype(number)
    assert np.array_equal(rendered(itk_file(itk_head("LPS", values), tmp_path), frame=1), values[::-1, ::-1, 1].T)
    swapped = values.T.astype(values.dtype.newbyteorder("<" if order == "little" else ">"))
    name = {"float32": "float", "float64": "double"}.get(number, number)
    assert np.array_equal(rendered(nrrd(swapped, type=name, endian=order), frame=1), values[:, :, 1].T)


def test_pictures_without_an_orientation_are_as_stored(tmp_path: Path) -> None:
    assert np.array_equal(rendered(nrrd(GREYS[0])), GREYS[0])
    assert np.array_equal(rendered(nrrd(), frame=0), GREYS[0])
    assert np.array_equal(rendered(nrrd(labels='"', content="\xe4\ntype:=SECRET")), GREYS[1])
    assert np.array_equal(rendered(nrrd(), axis="coronal"), GREYS[1])  # a stack has no orientation
    assert np.array_equal(rendered(nrrd(space="scanner-xyz", space_directions="(0,1,0) (1,0,0) (0,0,1)")), GREYS[1])
    assert np.array_equal(rendered(itk_file(sitk.GetImageFromArray(GREYS[0]), tmp_path)), GREYS[0])
    assert frame_count(nrrd(GREYS[0]), max_pixels=MAX_PIXELS) == 1
    assert frame_count(nrrd(), max_pixels=MAX_PIXELS) == 2


def test_colours_are_not_changed(tmp_path: Path) -> None:
    for picture in (COLOURS[0], COLOURS):
        image = sitk.GetImageFromArray(picture, isVector=True)
        assert np.array_equal(rendered(itk_file(image, tmp_path)), picture if picture.ndim == 3 else picture[1])
    planes = np.moveaxis(COLOURS[0], 2, 0)
    assert np.array_equal(rendered(nrrd(planes, kinds="domain domain RGB-color")), COLOURS[0])
    volume = sitk.GetImageFromArray(COLOURS, isVector=True)  # to the left, posterior and superior
    assert np.array_equal(rendered(itk_file(sitk.DICOMOrient(volume, "RAS"), tmp_path), frame=0), COLOURS[0])


def test_the_first_volume_of_a_time_series_is_used(tmp_path: Path) -> None:
    series: Any = np.stack([HEAD.T, HEAD.T + 7])
    as_stored = rendered(nrrd(HEAD.T.copy()))
    assert np.array_equal(rendered(itk_file(sitk.GetImageFromArray(series, isVector=False), tmp_path)), as_stored)
    timed = "(1,0,0,0) (0,1,0,0) (0,0,1,0) (0,0,0,1)"
    upright = nrrd(series, space="right-anterior-superior-time", space_directions=timed)
    assert np.array_equal(rendered(upright), HEAD[::-1, ::-1, 2].T)
    directions = {"space": "LPS", "space_directions": "none (1,0,0) (0,1,0) (0,0,1)"}
    assert np.array_equal(rendered(nrrd(np.stack(series, axis=-1), **directions)), as_stored)
    assert np.array_equal(rendered(nrrd(np.stack(series, axis=-1), kinds="list space space space")), as_stored)


def test_each_picture_of_a_time_series_is_a_frame() -> None:
    data = nrrd(np.moveaxis(GREYS, 0, 2), kinds="time domain domain")
    assert np.array_equal(rendered(data, frame=0), GREYS[0])


def test_compression_is_undone() -> None:
    for encoding, packed in (("gz", gzip.compress(GREYS.tobytes())), ("bzip2", bz2.compress(GREYS.tobytes()))):
        assert np.array_equal(rendered(nrrd(payload=packed, encoding=encoding), frame=0), GREYS[0])


def test_without_a_window_the_percentiles_of_the_slice_are_used() -> None:
    greys = np.asarray(decode(nrrd(1000.0 * HEAD), max_pixels=MAX_PIXELS))
    assert (greys.min(), greys.max()) == (0, 255)


def refused(data: bytes, kind: type[Exception], words: str, rendering: Rendering = AS_STORED) -> None:
    for function in (check, decode):
        with pytest.raises(kind, match=words) as error:
            function(data, max_pixels=MAX_PIXELS, rendering=rendering)
        assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["data file: SECRET.raw", "datafile: /SECRET", "Data File: LIST\nSECRET", "data file: SECRET%03d.raw 1 9 1"]
)
def test_no_other_file_is_opened(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("SECRET.raw").write_bytes(GREYS.tobytes())
    start = nrrd(payload=b"").rstrip(b"\n")
    for data in (b"%b\n%b\n\n" % (start, name.encode()), b"%b\n%b\n" % (start, name.encode())):
        refused(data, ImageFormatUnsupported, "names other files, which are never opened")


def refused_by_decode(data: bytes, words: str) -> None:
    """The header is good, so that a check finds nothing."""
    check(data, max_pixels=MAX_PIXELS)
    with pytest.raises(ImageDecodeError, match=words) as error:
        decode(data, max_pixels=MAX_PIXELS)
    assert "SECRET" not in str(error.value)


def test_bad_files_are_refused_by_their_fault() -> None:
    data, packed = nrrd(), gzip.compress(GREYS.tobytes())
    refused(data, ImageDecodeError, "has 2 frames, counted from 0: there is no frame 2", Rendering(frame=2))
    refused_by_decode(data[:-1], "cut short: its header announces more values than it contains")
    refused_by_decode(nrrd(payload=packed[:-1], encoding="gzip"), "cut short: its gzip data has no end")
    refused_by_decode(nrrd(payload=b"", encoding="gzip"), "cut short: its gzip data has no end")
    refused_by_decode(
        nrrd(payload=packed[:-8] + bytes(8), encoding="gzip"), "damaged: its gzip data cannot be unpacked"
    )
    refused_by_decode(nrrd(payload=b"SECRET", encoding="bzip2"), "damaged: its bzip2 data cannot be unpacked")
    longer, shorter = gzip.compress(bytes(200)), gzip.compress(bytes(20))
    refused_by_decode(nrrd(payload=longer, encoding="gz"), "header announces fewer values than its gzip data contains")
    refused_by_decode(nrrd(payload=shorter, encoding="gz"), "header announces more values than its gzip data contains")


def test_bombs_are_refused_by_their_size() -> None:
    packed = nrrd(sizes="30000 30000 30000", payload=gzip.compress(b""), encoding="gzip")
    refused(packed, ImageTooLarge, "more than 268,435,456 bytes uncompressed")
    refused(nrrd(sizes="30000 30000 30000"), ImageTooLarge, "10,000 pixels")
    refused(nrrd(sizes="1e30 1e30 1e30"), ImageDecodeError, "size must be at least 1")
    refused(nrrd(sizes="9" * 5000 + " 1 1"), ImageDecodeError, "size must be at least 1")
    refused(nrrd(sizes="101 100 2"), ImageTooLarge, "10,000 pixels")
    bomb = nrrd(payload=gzip.compress(bytes(MAX_VOLUME_BYTES), compresslevel=1), encoding="gzip")
    refused_by_decode(bomb, "header announces fewer values than its gzip data contains")
