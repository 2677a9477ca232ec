"""The command `render`: image files and folders to PNG files of what the encoder gets."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from app.cli.main import main
from model.imaging.images import decode
from model.imaging.limits import MAX_PIXELS
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import WINDOWS, PercentileWindow, Rendering, Window
from tests.support.image_files.dicom import ct
from tests.support.samples import damaged, picture, png, saved

HEAD = np.random.default_rng(0).integers(-1000, 1000, (5, 16, 16)).astype(np.int16)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with images at three levels, a DICOM file without a suffix, and a text file."""
    root = tmp_path / "scans"
    (root / "a" / "b").mkdir(parents=True)
    (root / "0.png").write_bytes(png())
    (root / "a" / "1.jpg").write_bytes(saved(picture(1), "JPEG"))
    (root / "a" / "b" / "IM1").write_bytes(ct(HEAD))
    (root / "a" / "notes.txt").write_text("not an image")
    return root


def render(output: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["render", *map(str, arguments), "-o", str(output)], catch_exceptions=False)


def pixels(file: Path) -> Any:
    return np.asarray(Image.open(file))


def decoded(data: bytes, **rendering: Any) -> Any:
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(**rendering)))


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_a_folder_tree_becomes_a_tree_of_pictures(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = render(out, tree)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert f"{out}: 3 pictures" in result.stderr
    assert "skipped 1 file" in result.stderr
    assert files_in(out) == ["0.png", "a/1.png", "a/b/IM1.png"]
    assert np.array_equal(pixels(out / "0.png"), np.asarray(picture()))
    assert np.array_equal(pixels(out / "a" / "b" / "IM1.png"), decoded(ct(HEAD)))


@pytest.mark.parametrize(
    ("flags", "rendering"),
    [
        (["--frame", "3"], {"frame": 3}),
        (["--dicom-window", "lung"], {"window": WINDOWS["lung"]}),
        (["--dicom-window", "-600,1500", "--frame", "1"], {"window": Window(-600, 1500), "frame": 1}),
        (["--dicom-window", "p5-p95"], {"window": PercentileWindow(5, 95)}),
        (["--contrast", "equalize"], {"contrast": "equalize"}),
    ],
)
def test_a_frame_and_a_window_are_chosen(tree: Path, tmp_path: Path, flags: list[str], rendering: Any) -> None:
    assert render(tmp_path / "out", tree / "a" / "b" / "IM1", *flags).exit_code == 0
    assert np.array_equal(pixels(tmp_path / "out" / "IM1.png"), decoded(ct(HEAD), **rendering))


def test_all_slices_of_a_volume_across_an_axis(tmp_path: Path) -> None:
    data = nibabel.Nifti1Image(HEAD, np.eye(4)).to_bytes()
    (tmp_path / "head.nii").write_bytes(data)
    result = render(tmp_path / "out", tmp_path / "head.nii", "--frames", "all", "--axis", "sagittal")
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "out") == [f"head.frame-{number}.png" for number in range(5)]
    for number in range(5):
        shown = pixels(tmp_path / "out" / f"head.frame-{number}.png")
        assert np.array_equal(shown, decoded(data, frame=number, axis="sagittal"))


def test_standardized_shows_the_picture_after_the_first_step(tree: Path, tmp_path: Path) -> None:
    assert render(tmp_path / "out", tree / "0.png", "--standardized").exit_code == 0
    assert np.array_equal(pixels(tmp_path / "out" / "0.png"), np.asarray(Standardization()(picture())))
    size = ["--standardized", "--image-standardization-image-size", "48"]
    assert render(tmp_path / "small", tree / "0.png", *size).exit_code == 0
    assert np.array_equal(pixels(tmp_path / "small" / "0.png"), np.asarray(Standardization(48)(picture())))


def test_bad_files_are_listed_and_the_exit_status_is_1(tree: Path, tmp_path: Path) -> None:
    (tree / "a" / "cut.png").write_bytes(damaged())
    result = render(tmp_path / "out", tree, "--frame", "2")
    assert result.exit_code == 1
    assert f"left out {tree}/a/cut.png: of a PNG image, only frame 0 is read" in result.stderr
    assert f"left out {tree}/0.png: of a PNG image, only frame 0 is read" in result.stderr
    assert f"{tmp_path / 'out'}: 1 pictures, 3 left out" in result.stderr
    assert files_in(tmp_path / "out") == ["a/b/IM1.png"]


def test_a_folder_without_images_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    result = render(tmp_path / "out", tmp_path / "in")
    assert result.exit_code == 1
    assert "no image is found" in result.stderr
    assert not (tmp_path / "out").exists()


def test_files_that_exist_are_kept_without_overwrite(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert render(out, tree / "0.png").exit_code == 0
    again = render(out, tree / "0.png", "--standardized")
    assert (again.exit_code, "--overwrite" in again.stderr) == (1, True)
    assert pixels(out / "0.png").shape == (32, 40, 3)
    assert render(out, tree / "0.png", "--standardized", "--overwrite").exit_code == 0
    assert pixels(out / "0.png").shape == (512, 512, 3)


def test_the_limit_of_pixels_applies(tree: Path, tmp_path: Path) -> None:
    result = render(tmp_path / "out", tree / "0.png", "--max-image-pixels", "1000")
    assert (result.exit_code, "1,000 pixels" in result.stderr) == (1, True)


def test_no_model_library_is_imported(tree: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        f"sys.argv = ['medimageinsight', 'render', {str(tree)!r}, '-o', {str(tmp_path / 'out')!r}]\n"
        "from app.cli.main import main\n"
        "try: main()\n"
        "finally: print([name for name in ('torch', 'transformers', 'fastapi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
