"""NRRD: a slice of a volume as of NIfTI, or a picture of a stack as it is stored."""

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
from model.imaging.rendering import AS_STORED, Axis, Rendering, Window
from model.imaging.volumes import MOST_BYTES

MAX_PIXELS = 10_000
# 6 voxels to the right, 4 to anterior, 5 to superior; the value tells all three.
HEAD = np.add.outer(np.add.outer(np.arange(6), 10 * np.arange(4)), 40 * np.arange(5)).astype(np.int16)
ALL = Window(127.5, 255)
AXES: tuple[Axis, ...] = ("sagittal", "coronal", "axial")
TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
COLOURS = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3)).astype(np.uint8)  # 2 pictures, 4 rows, 6 columns
GREYS = COLOURS[..., 0]


def written(image: Any, folder: Path, *, compressor: str = "") -> bytes:
    """The file that ITK makes of an image."""
    file = folder / "image.nrrd"
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(file))
    if compressor:
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
    writer.Execute(image)
    return file.read_bytes()


def head(codes: str, values: Any = HEAD) -> Any:
    """The head as an image of ITK, stored along other axes: the codes say where each of them goes."""
    image = sitk.GetImageFromArray(values.T)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # ITK's own axes go to the left, posterior and superior
    return sitk.DICOMOrient(image, codes)


def made(values: Any = GREYS, payload: Any = None, **fields: Any) -> bytes:
    """A file by hand, of an array whose last axis changes fastest; fields' names have _ for a space."""
    letters = {"i": "int", "u": "uint"}.get(values.dtype.kind, "")
    header = {
        "type": f"{letters}{values.dtype.itemsize * 8}" if letters else "double",
        "dimension": str(values.ndim),
        "sizes": " ".join(map(str, values.shape[::-1])),
        "encoding": "raw",
        "endian": "little",
        **{name.replace("_", " "): value for name, value in fields.items()},
    }
    lines = ["NRRD0005", *(f"{name}: {value}" for name, value in header.items()), "\n"]
    return "\n".join(lines).encode() + bytes(values.tobytes() if payload is None else payload)


def shown(data: bytes, **rendering: Any) -> NDArray[np.uint8]:
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(window=ALL, **rendering)))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "SRP", "AIL"])
@pytest.mark.parametrize("compressor", ["", "gzip"])
def test_slices_hang_as_on_a_light_box(codes: str, compressor: str, tmp_path: Path) -> None:
    data = written(head(codes), tmp_path, compressor=compressor)
    # The patient's right on the left, anterior or superior on top; a sagittal slice looks to the left.
    assert np.array_equal(shown(data, frame=1), HEAD[::-1, ::-1, 1].T)
    assert np.array_equal(shown(data, axis="coronal", frame=1), HEAD[::-1, 1, ::-1].T)
    assert np.array_equal(shown(data, axis="sagittal", frame=1), HEAD[1, ::-1, ::-1].T)


@pytest.mark.parametrize("axis", AXES)
def test_the_same_volume_as_nifti_gives_the_same_picture(axis: Axis, tmp_path: Path) -> None:
    oblique = head("RAS", np.random.default_rng(1).normal(0, 1000, (9, 8, 7)))
    turn = sitk.VersorTransform((1, 2, 3), 0.4)
    oblique.SetDirection((np.reshape(turn.GetMatrix(), (3, 3)) @ np.reshape(oblique.GetDirection(), (3, 3))).ravel())
    oblique.SetSpacing((0.5, 2, 3))
    sitk.WriteImage(oblique, str(tmp_path / "image.nii"))
    for rendering in (Rendering(axis=axis), Rendering(axis=axis, frame=1, window=Window(40, 80))):
        files = (written(oblique, tmp_path), (tmp_path / "image.nii").read_bytes())
        ours, nifti = (decode(data, max_pixels=MAX_PIXELS, rendering=rendering) for data in files)
        assert ours == nifti


@pytest.mark.parametrize("space", ["right-anterior-superior", "RAS", "left-anterior-superior", "LAS", "LPS"])
def test_the_space_says_where_its_axes_go(space: str, tmp_path: Path) -> None:
    data = made(HEAD.T.copy(), space=space, space_directions="(0,-2,0) (0.1,0,1) (1,0,0)")
    file = tmp_path / "image.nrrd"
    file.write_bytes(data)
    upright = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(file)), "LPS"))
    assert frame_count(data, max_pixels=MAX_PIXELS) == len(upright)
    for frame, picture in enumerate(upright):
        assert np.array_equal(shown(data, frame=frame), picture)


def test_the_middle_axial_slice_is_the_usual_one(tmp_path: Path) -> None:
    data = written(head("RAS"), tmp_path)
    assert np.array_equal(shown(data), shown(data, frame=2))
    counts = [frame_count(data, max_pixels=MAX_PIXELS, rendering=Rendering(axis=axis)) for axis in AXES]
    assert counts == [6, 4, 5]


@pytest.mark.parametrize("number", TYPES)
@pytest.mark.parametrize("order", ["little", "big"])
def test_numbers_of_every_type_are_read(number: str, order: str, tmp_path: Path) -> None:
    values = (HEAD // 4).astype(number)
    assert np.array_equal(shown(written(head("LPS", values), tmp_path), frame=1), values[::-1, ::-1, 1].T)
    swapped = values.T.astype(values.dtype.newbyteorder("<" if order == "little" else ">"))
    name = {"float32": "float", "float64": "double"}.get(number, number)
    assert np.array_equal(shown(made(swapped, type=name, endian=order), frame=1), values[:, :, 1].T)


def test_without_an_orientation_pictures_come_as_stored(tmp_path: Path) -> None:
    assert np.array_equal(shown(made(GREYS[0])), GREYS[0])
    assert np.array_equal(shown(made(), frame=0), GREYS[0])
    assert np.array_equal(shown(made(labels='"', content="\xe4\ntype:=SECRET")), GREYS[1])
    assert np.array_equal(shown(made(), axis="coronal"), GREYS[1])  # a stack has no axes
    assert np.array_equal(shown(made(space="scanner-xyz", space_directions="(0,1,0) (1,0,0) (0,0,1)")), GREYS[1])
    assert np.array_equal(shown(written(sitk.GetImageFromArray(GREYS[0]), tmp_path)), GREYS[0])
    assert frame_count(made(GREYS[0]), max_pixels=MAX_PIXELS) == 1
    assert frame_count(made(), max_pixels=MAX_PIXELS) == 2


def test_colours_are_shown_as_they_are(tmp_path: Path) -> None:
    for picture in (COLOURS[0], COLOURS):
        image = sitk.GetImageFromArray(picture, isVector=True)
        assert np.array_equal(shown(written(image, tmp_path)), picture if picture.ndim == 3 else picture[1])
    planes = np.moveaxis(COLOURS[0], 2, 0)
    assert np.array_equal(shown(made(planes, kinds="domain domain RGB-color")), COLOURS[0])
    volume = sitk.GetImageFromArray(COLOURS, isVector=True)  # to the left, posterior and superior
    assert np.array_equal(shown(written(sitk.DICOMOrient(volume, "RAS"), tmp_path), frame=0), COLOURS[0])


def test_of_a_series_in_time_the_first_volume_counts(tmp_path: Path) -> None:
    series: Any = np.stack([HEAD.T, HEAD.T + 7])
    as_stored = shown(made(HEAD.T.copy()))
    assert np.array_equal(shown(written(sitk.GetImageFromArray(series, isVector=False), tmp_path)), as_stored)
    timed = "(1,0,0,0) (0,1,0,0) (0,0,1,0) (0,0,0,1)"
    upright = made(series, space="right-anterior-superior-time", space_directions=timed)
    assert np.array_equal(shown(upright), HEAD[::-1, ::-1, 2].T)
    directions = {"space": "LPS", "space_directions": "none (1,0,0) (0,1,0) (0,0,1)"}
    assert np.array_equal(shown(made(np.stack(series, axis=-1), **directions)), as_stored)
    assert np.array_equal(shown(made(np.stack(series, axis=-1), kinds="list space space space")), as_stored)


def test_of_pictures_in_time_each_is_a_frame() -> None:
    data = made(np.moveaxis(GREYS, 0, 2), kinds="time domain domain")
    assert np.array_equal(shown(data, frame=0), GREYS[0])


def test_compression_is_undone() -> None:
    for encoding, packed in (("gz", gzip.compress(GREYS.tobytes())), ("bzip2", bz2.compress(GREYS.tobytes()))):
        assert np.array_equal(shown(made(payload=packed, encoding=encoding), frame=0), GREYS[0])


def test_without_a_window_the_slices_own_range_counts() -> None:
    greys = np.asarray(decode(made(1e300 * (HEAD - 100.0)), max_pixels=MAX_PIXELS))
    assert set(greys.flat) == {0, 255}  # none of them finite in single precision
    greys = np.asarray(decode(made(1000.0 * HEAD), max_pixels=MAX_PIXELS))
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
    start = made(payload=b"").rstrip(b"\n")
    for data in (b"%b\n%b\n\n" % (start, name.encode()), b"%b\n%b\n" % (start, name.encode())):
        refused(data, ImageFormatUnsupported, "names other files, and none is ever opened")


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"encoding": "ascii"}, ImageFormatUnsupported, "none of raw, gzip and bzip2"),
        ({"encoding": "SECRET"}, ImageFormatUnsupported, "none of raw, gzip and bzip2"),
        ({"line_skip": "1"}, ImageFormatUnsupported, "skips lines or bytes"),
        ({"byteskip": "-1"}, ImageFormatUnsupported, "skips lines or bytes"),
        ({"type": "block", "block size": "4"}, ImageFormatUnsupported, "no integer, float or double"),
        ({"kinds": "3-vector domain domain"}, ImageFormatUnsupported, "no 8-bit RGB"),
        ({"kinds": "RGB-color domain domain"}, ImageFormatUnsupported, "no 8-bit RGB"),
        ({"kinds": "domain RGB-color domain"}, ImageFormatUnsupported, "no 8-bit RGB"),
        ({"kinds": "vector domain vector", "sizes": "3 1 3"}, ImageFormatUnsupported, "no 8-bit RGB"),
        ({"kinds": "vector domain domain", "sizes": "3 4 6", "type": "short"}, ImageFormatUnsupported, "no 8-bit RGB"),
        ({"sizes": "6 -4 2"}, ImageDecodeError, "without pixels"),
        ({"sizes": "6 0 2"}, ImageDecodeError, "without pixels"),
        ({"sizes": "6 nan 2"}, ImageDecodeError, "without pixels"),
        ({"sizes": "6 4"}, ImageDecodeError, "two to four dimensions"),
        ({"dimension": "1", "sizes": "6"}, ImageDecodeError, "two to four dimensions"),
        ({"dimension": "9" * 5000}, ImageDecodeError, "damaged or cut short"),
        ({"dimension": "50000", "sizes": "999999999 " * 50_000}, ImageDecodeError, "within its first 262,144 bytes"),
        ({"dimension": "20000", "sizes": "999999999 " * 20_000}, ImageDecodeError, "two to four dimensions"),
        ({"kinds": "domain"}, ImageDecodeError, "as many as its axes"),
        ({"space_directions": "(1,0,0)"}, ImageDecodeError, "as many as its axes"),
        ({"space": "LPS", "space_directions": "(0,0,0) (0,0,0) (0,0,0)"}, ImageDecodeError, "damaged or cut short"),
        ({"space": "LPS", "space_directions": "(1,0) (0,1) (inf,1)"}, ImageDecodeError, "damaged or cut short"),
        ({"type": "short", "endian": "SECRET"}, ImageDecodeError, "damaged or cut short"),
        ({"kinds": "domain domain domain\nsizes: 6 4 1"}, ImageDecodeError, "damaged or cut short"),
    ],
)
def test_headers_that_are_wrong_or_not_read_are_refused(
    fields: dict[str, str], kind: type[Exception], words: str
) -> None:
    refused(made(**fields), kind, words)


def test_bad_files_are_refused() -> None:
    data, packed = made(), gzip.compress(GREYS.tobytes())
    refused(data, ImageDecodeError, "has 2 frames, counted from 0: there is no frame 2", Rendering(frame=2))
    refused(b"NRRD0004\n", ImageDecodeError, "damaged or cut short")
    refused(data.replace(b"NRRD0005", b"NRRD0009"), ImageDecodeError, "damaged or cut short")
    for payload in (packed[:-1], packed[:-12], packed[:-8] + bytes(8), gzip.compress(bytes(200)), b"", b"SECRET"):
        with pytest.raises(ImageDecodeError, match="damaged or cut short"):
            decode(made(payload=payload, encoding="gzip"), max_pixels=MAX_PIXELS)
    with pytest.raises(ImageDecodeError, match="damaged or cut short"):
        decode(data[:-1], max_pixels=MAX_PIXELS)


def test_bombs_are_refused_by_their_size() -> None:
    refused(made(sizes="30000 30000 30000"), ImageTooLarge, "more than 268,435,456 bytes uncompressed")
    refused(made(sizes="1e30 1e30 1e30"), ImageDecodeError, "without pixels|bytes uncompressed")
    refused(made(sizes="101 100 2"), ImageTooLarge, "10,000 pixels")
    bomb = made(payload=gzip.compress(bytes(MOST_BYTES), compresslevel=1), encoding="gzip")
    with pytest.raises(ImageDecodeError, match="damaged or cut short"):
        decode(bomb, max_pixels=MAX_PIXELS)
