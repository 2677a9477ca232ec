"""Image files to PNG files: their names, and what is never overwritten."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.data.picture_files import PictureOptions, WrittenPictures, picture_names, write_pictures
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import Rendering, Window
from tests.support.image_files.dicom import ct
from tests.support.samples import damaged, picture, png, saved

FRAMES = np.arange(12 * 4 * 4, dtype=np.uint16).reshape(12, 4, 4)


def write(files: Sequence[Path], folder: Path, **options: Any) -> list[WrittenPictures]:
    names = [folder / name for name in picture_names(files, files)]
    return list(write_pictures(files, names, PictureOptions(1_000_000, **options), threads=2))


def pixels(file: Path) -> Any:
    return np.asarray(Image.open(file))


@pytest.fixture
def series(tmp_path: Path) -> Path:
    file = tmp_path / "1.2.840.10008"
    file.write_bytes(ct(FRAMES))
    return file


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["a.png", "b.dcm", "c.nii", "d.nii.gz", "E.TIFF"], ["a", "b", "c", "d", "E"]),
        (["IM1", "1.2.840.113", "scan 1.5T", ".nii.gz"], ["IM1", "1.2.840.113", "scan 1", ".nii"]),
        (["a.png", "a.dcm", "a-2.jpg", "a.nii"], ["a", "a-2", "a-2-2", "a-3"]),
        (["a.png", "A.png"], ["a", "A-2"]),
    ],
)
def test_a_picture_has_the_name_of_its_file_and_no_two_have_the_same(names: list[str], wanted: list[str]) -> None:
    assert [str(name) for name in picture_names([Path("scans") / name for name in names], [])] == wanted


def test_many_files_of_one_name_are_named_at_once() -> None:
    files = [Path(f"scans/ST{number}/IM1") for number in range(20_000)]
    names = picture_names(files, files)  # quadratic time would take minutes
    assert [str(name) for name in names[:3]] == ["IM1", "IM1-2", "IM1-3"]
    assert len({str(name) for name in names}) == len(files)


def test_the_folders_below_a_named_folder_are_kept(tmp_path: Path) -> None:
    files = [tmp_path / "a" / "x.png", tmp_path / "a" / "b" / "x.png", tmp_path / "c" / "x.png", tmp_path / "y.png"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    names = picture_names(files, [tmp_path / "a", tmp_path / "c", tmp_path / "y.png"])
    assert names == [Path("x"), Path("b/x"), Path("x-2"), Path("y")]


def test_one_picture_per_file_or_per_frame(series: Path, tmp_path: Path) -> None:
    window = Rendering(window=Window(96, 192))
    assert write([series], tmp_path / "one", rendering=window) == [WrittenPictures(series, 1)]
    assert [file.name for file in (tmp_path / "one").iterdir()] == ["1.2.840.10008.png"]
    assert write([series], tmp_path / "all", rendering=window, every_frame=True) == [WrittenPictures(series, 12)]
    names = sorted(file.name for file in (tmp_path / "all").iterdir())
    assert names == [f"1.2.840.10008.frame-{frame:02}.png" for frame in range(12)]
    for frame, name in enumerate(names):
        assert np.abs(pixels(tmp_path / "all" / name) - FRAMES[frame] * 255 / 192).max() < 2
    write([series], tmp_path / "fourth", rendering=Rendering(frame=4, window=window.window))
    assert np.array_equal(pixels(tmp_path / "fourth" / "1.2.840.10008.png"), pixels(tmp_path / "all" / names[4]))


def test_every_frame_of_a_file_with_one_is_one_picture(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png())
    assert write([file], tmp_path / "out", every_frame=True) == [WrittenPictures(file, 1)]
    assert np.array_equal(pixels(tmp_path / "out" / "a.png"), np.asarray(picture()))


def test_the_first_step_is_applied_on_request(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png())
    step = Standardization(size=32)
    write([file], tmp_path / "out", standardization=step)
    assert np.array_equal(pixels(tmp_path / "out" / "a.png"), np.asarray(step(picture())))


def test_files_that_cannot_be_read_are_named_and_the_others_are_written(tmp_path: Path) -> None:
    good, cut, missing = tmp_path / "good.png", tmp_path / "cut.png", tmp_path / "missing.png"
    good.write_bytes(png())
    cut.write_bytes(damaged())
    first, second, third = write([cut, missing, good], tmp_path / "out")
    assert "cut short" in first.problem
    assert second.problem == "the file cannot be read: No such file or directory"
    assert (third.count, third.problem) == (1, "")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["good.png"]


def test_a_file_is_given_up_at_its_first_bad_frame(tmp_path: Path) -> None:
    file = tmp_path / "announced.dcm"
    file.write_bytes(ct(FRAMES, NumberOfFrames=2**31 - 1))
    (written,) = write([file], tmp_path / "out", every_frame=True)
    assert written.count <= 12
    assert written.problem.count("frame") >= 1


def test_what_exists_is_kept_unless_it_may_be_overwritten(tmp_path: Path) -> None:
    file, out = tmp_path / "a.png", tmp_path / "out"
    file.write_bytes(png())
    write([file], out)
    file.write_bytes(png(1))
    (written,) = write([file], out)
    assert written.problem == "the picture exists already, and is only replaced with --overwrite"
    assert np.array_equal(pixels(out / "a.png"), np.asarray(picture()))
    assert write([file], out, overwrite=True) == [WrittenPictures(file, 1)]
    assert np.array_equal(pixels(out / "a.png"), np.asarray(picture(1)))


def test_an_image_is_never_replaced_by_its_picture(tmp_path: Path) -> None:
    grey = saved(picture().convert("LA"))
    (tmp_path / "a.png").write_bytes(grey)
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "link"):
        (written,) = write([tmp_path / "a.png"], folder, overwrite=True)
        assert "would replace an image that is read" in written.problem
    assert (tmp_path / "a.png").read_bytes() == grey


def test_no_two_pictures_of_a_run_have_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(ct(FRAMES))
    (tmp_path / "a.frame-00.png").write_bytes(png())
    first, second = write(
        [tmp_path / "a", tmp_path / "a.frame-00.png"], tmp_path / "out", every_frame=True, overwrite=True
    )
    assert sorted(problem for problem in (first.problem, second.problem) if problem) in (
        ["the picture would replace one of another image; rename one of the two images"],
        ["frame 0: the picture would replace one of another image; rename one of the two images"],
    )
    assert first.count + second.count == len(list((tmp_path / "out").iterdir()))


def test_no_part_of_a_picture_stays_on_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    code = f"""
import resource, signal
from pathlib import Path
from model.data.picture_files import PictureOptions, write_pictures
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
folder = Path({str(tmp_path)!r})
print(next(write_pictures([folder / "a.png"], [folder / "out" / "a"], PictureOptions(10_000), threads=1)).problem)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{tmp_path}/out/a.png cannot be written (File too large); ")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "out").write_text("a file")
    (written,) = write([tmp_path / "a.png"], tmp_path / "out")
    assert written.problem.startswith(f"{tmp_path}/out/a.png cannot be written (")
