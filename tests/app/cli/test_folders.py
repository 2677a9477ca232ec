"""Folders that the commands walk: files without suffix, other files, failures, and the exit status."""

import csv
import os
import pty
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from pydicom.uid import EncapsulatedPDFStorage, MediaStorageDirectoryStorage

from app.cli.main import main
from model.engine import EmbeddingEngine
from tests.support.colour_engine import write_manifest
from tests.support.console_script import CHECKOUT, SCRIPT, run_script
from tests.support.image_files.dicom import HOUNSFIELD, ct
from tests.support.image_files.volumes import nifti
from tests.support.samples import assert_close, damaged, image_vector, png


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def embed(release: Path, output: Path, *arguments: object) -> Result:
    return invoke("embed", *arguments, "-o", output, "--model", release, "--device", "cpu", "--no-cache")


def embedded(output: Path) -> list[str]:
    with np.load(output) as stored:
        return [Path(path).name for path in stored["image_paths"]]


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A folder as an archive exports it: three slices and a volume without suffix, an index, a report and notes."""
    folder = tmp_path / "series"
    (folder / "ST1" / "SE1").mkdir(parents=True)
    (folder / "DICOMDIR").write_bytes(ct(HOUNSFIELD, SOPClassUID=MediaStorageDirectoryStorage))
    (folder / "1.2.840.113619.2.5").write_bytes(ct(HOUNSFIELD))
    for number in (1, 2):
        (folder / "ST1" / "SE1" / f"IM{number}").write_bytes(ct(HOUNSFIELD + number))
    (folder / "ST1" / "volume").write_bytes(nifti())
    report = ct(HOUNSFIELD, SOPClassUID=EncapsulatedPDFStorage, PixelData=None, Rows=None)
    (folder / "ST1" / "report").write_bytes(report)
    (folder / "readme.txt").write_text("no image")
    return folder


def test_the_files_of_an_exported_series_are_embedded_one_vector_per_file(
    series: Path, tmp_path: Path, small_release: Path, engine: EmbeddingEngine
) -> None:
    result = embed(small_release, tmp_path / "out.npz", series)
    assert result.exit_code == 0, result.output
    assert embedded(tmp_path / "out.npz") == ["1.2.840.113619.2.5", "IM1", "IM2", "volume"]
    assert "out.npz: 4 images, 0 texts" in result.stderr
    counts = "1 DICOMDIR, 1 DICOM without a picture (encapsulated document), 1 not in an accepted image format"
    assert f"skipped 3 files: {counts}\n" in result.stderr
    assert "readme.txt" not in result.stderr
    with np.load(tmp_path / "out.npz") as stored:
        assert_close(stored["image_features"][1], image_vector(engine, ct(HOUNSFIELD + 1)))


def test_verbose_names_every_skipped_file(series: Path, tmp_path: Path, small_release: Path) -> None:
    result = embed(small_release, tmp_path / "out.npz", series, "-v")
    assert result.exit_code == 0, result.output
    assert f"skipped {series}/readme.txt: not in an accepted image format\n" in result.stderr
    assert f"skipped {series}/DICOMDIR: DICOMDIR\n" in result.stderr
    assert f"skipped {series}/ST1/report: DICOM without a picture (encapsulated document)\n" in result.stderr


def test_no_image_is_an_error_that_writes_nothing_and_loads_no_model(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "notes.txt").write_text("no image")
    for texts in ((), ("--text", "a")):
        result = embed(Path("/nowhere/at/all"), tmp_path / "out.npz", tmp_path / "series", *texts)
        assert result.exit_code == 1
        assert (
            f"medimageinsight: no image is found in {tmp_path}/series "
            "(skipped 1 file: 1 not in an accepted image format); name image files, or folders with DICOM, NIfTI, "
        ) in result.stderr
        assert not (tmp_path / "out.npz").exists()


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = embed(Path("/nowhere/at/all"), tmp_path / "out.npz", *[tmp_path / "empty"] * 4)
    assert result.exit_code == 1
    assert "no image is found in 4 paths (nothing is in there); name image files" in result.stderr


def test_damaged_files_fail_and_the_others_are_written(series: Path, tmp_path: Path, small_release: Path) -> None:
    (series / "ST1" / "SE1" / "IM3").write_bytes(damaged())
    (series / "pointer.png").write_text("named like an image")
    result = embed(small_release, tmp_path / "out.npz", series)
    assert result.exit_code == 1
    assert f"left out {series}/ST1/SE1/IM3: the PNG image is " in result.stderr
    assert f"left out {series}/pointer.png: the image cannot be read as any of" in result.stderr
    assert "4 images, 2 left out, 0 texts" in result.stderr
    assert len(embedded(tmp_path / "out.npz")) == 4


def test_a_named_dicomdir_fails_by_its_name(series: Path, tmp_path: Path, small_release: Path) -> None:
    paths = (series / "DICOMDIR", series / "ST1")
    result = embed(small_release, tmp_path / "out.npz", *paths)
    assert result.exit_code == 1
    assert f"left out {series}/DICOMDIR: the file is a DICOMDIR, which lists other files and has no" in result.stderr
    assert embedded(tmp_path / "out.npz") == ["IM1", "IM2", "volume"]
    strict = embed(small_release, tmp_path / "strict.npz", *paths, "--strict")
    assert strict.exit_code == 2
    assert f"medimageinsight: {series}/DICOMDIR: the file is a DICOMDIR" in strict.stderr
    assert not (tmp_path / "strict.npz").exists()


def test_a_named_file_without_a_picture_fails(series: Path, tmp_path: Path, small_release: Path) -> None:
    result = embed(small_release, tmp_path / "out.npz", series / "ST1" / "report", series / "ST1" / "volume")
    assert result.exit_code == 1
    assert f"left out {series}/ST1/report: " in result.stderr
    assert embedded(tmp_path / "out.npz") == ["volume"]


def test_the_console_script_walks_past_pipes_and_circles(series: Path, tmp_path: Path, small_release: Path) -> None:
    os.mkfifo(series / "pipe")
    (series / "circle").symlink_to(".")
    (series / "ST1" / "locked").symlink_to("/nowhere")
    command = ("embed", series, "-o", tmp_path / "out.npz", "--model", small_release, "--device", "cpu", "--no-cache")
    done: subprocess.CompletedProcess[str] = run_script(*command)
    assert done.returncode == 0, done.stderr
    assert "skipped 5 files and 1 folder: " in done.stderr
    assert len(embedded(tmp_path / "out.npz")) == 4
    (series / "ST1" / "SE1" / "IM3").write_bytes(damaged())
    assert run_script(*command).returncode == 1


@pytest.mark.parametrize("name", [b"R\xf6ntgen", b"\x1b[2J"], ids=["Latin 1", "an escape sequence"])
def test_a_name_that_is_not_text_is_kept_in_the_output_and_made_harmless_on_the_terminal(
    tmp_path: Path, small_release: Path, name: bytes
) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    file = Path(os.fsdecode(os.fsencode(folder / "x").replace(b"/x", b"/" + name)))
    file.write_bytes(png())
    file.with_name(file.name + ".cut").write_bytes(damaged())
    for kind in ("npz", "parquet"):
        result = embed(small_release, tmp_path / f"out.{kind}", folder)
        assert result.exit_code == 1, result.output
        assert "\x1b" not in result.stderr
        assert "left out " in result.stderr
    with np.load(tmp_path / "out.npz") as stored:
        assert stored["image_paths"].tolist() == [str(file)]
    assert pq.read_table(tmp_path / "out.parquet")["source"].to_pylist() == [
        os.fsencode(file).decode("utf-8", "backslashreplace")
    ]


def test_adapter_apply_walks_and_ends_in_the_same_way(tmp_path: Path, small_release: Path) -> None:
    images, model = tmp_path / "images", ("--model", small_release, "--device", "cpu", "--no-cache")
    images.mkdir()
    write_manifest(tmp_path, 12, noise=5)
    trained = ("adapter", "train", *model, "--data", tmp_path / "test-0.csv", "--epochs", 1, "--out", tmp_path / "a")
    assert invoke(*trained).exit_code == 0
    apply = ("adapter", "apply", *model, tmp_path / "a", images, "-o", tmp_path / "out.csv")
    (images / "notes").write_text("no image")
    nothing = invoke(*apply, "-v")
    assert nothing.exit_code == 1
    assert f"skipped {images}/notes: not in an accepted image format\n" in nothing.stderr
    assert f"no image is found in {images} (" in nothing.stderr
    (images / "IM1").write_bytes(damaged())
    failed = invoke(*apply)
    assert failed.exit_code == 1
    assert "no image can be read (1 failed)" in failed.stderr
    assert not (tmp_path / "out.csv").exists()
    (images / "IM2").write_bytes(ct(HOUNSFIELD))
    (images / os.fsdecode(b"R\xf6ntgen")).write_bytes(png())
    some = invoke(*apply)
    assert some.exit_code == 1
    assert "2 images, 1 left out" in some.stderr
    with (tmp_path / "out.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        assert [row["path"] for row in csv.DictReader(stream)] == [
            str(images / "IM2"),
            str(images / os.fsdecode(b"R\xf6ntgen")),
        ]
    (images / "IM1").unlink()
    assert invoke(*apply).exit_code == 0


def test_an_output_that_cannot_be_written_ends_a_command_before_it_computes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    for output, sentence in ((tmp_path / "no" / "out.npz", "that does not exist"), (tmp_path, "is a directory")):
        result = invoke("embed", tmp_path, "-o", output)
        assert (result.exit_code, sentence in result.stderr) == (2, True)
        result = invoke("adapter", "apply", tmp_path, tmp_path, "-o", output)
        assert (result.exit_code, sentence in result.stderr) == (2, True)


def test_a_name_in_an_error_is_harmless_on_a_real_terminal(tmp_path: Path) -> None:
    file = tmp_path / "\x1b[31mred.png"
    file.write_bytes(damaged())
    options = ["--strict", "--no-cache", "--device", "cpu", "-o", str(tmp_path / "out.npz")]
    controller, terminal = pty.openpty()  # click removes escape sequences wherever it does not write to a terminal
    subprocess.run([SCRIPT, "embed", str(file), *options], env=os.environ | CHECKOUT, stderr=terminal, check=False)
    os.close(terminal)
    shown = os.read(controller, 10_000)
    os.close(controller)
    assert b"[31mred.png: the PNG image is" in shown
    assert b"\x1b[31m" not in shown


def test_evaluate_ends_with_status_1_if_rows_are_left_out(tmp_path: Path, small_release: Path) -> None:
    write_manifest(tmp_path, 12, noise=5)
    data = tmp_path / "test-0.csv"
    model = ("--model", small_release, "--device", "cpu", "--no-cache")
    options = ("--tasks", "zero-shot", "--samples", 0)
    with data.open(encoding="utf-8") as stream:
        last = list(csv.DictReader(stream))[-1]["path"]
    (tmp_path / last).write_bytes(damaged())
    result = invoke("evaluate", *model, "--data", data, *options, "--out", tmp_path / "report")
    assert result.exit_code == 1
    assert "11 rows, 1 bad row left out" in result.stderr
    assert (tmp_path / "report" / "report.json").is_file()
    for image in tmp_path.glob("*.png"):
        image.write_bytes(damaged())
    result = invoke("evaluate", *model, "--data", data, *options, "--out", tmp_path / "report")
    assert result.exit_code == 2
    assert "test-0.csv has no usable row: row 1: the PNG image is" in result.stderr
