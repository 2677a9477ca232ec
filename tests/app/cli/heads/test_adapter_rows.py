"""Rows of `adapter train`: columns and splits that are missing or misspelt, and the rows that are left out."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from tests.support.colour_engine import write_manifest


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def train(folder: Path, out: Path, *arguments: object) -> Result:
    return invoke("adapter", "train", "--data", folder / "test-0.csv", "--out", out, *arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve images, their manifest, and the embedding cache that the tests share."""
    folder = tmp_path_factory.mktemp("adapter")
    write_manifest(folder, 12, noise=5)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path, small_release: Path) -> tuple[object, ...]:
    return ("--model", small_release, "--device", "cpu", "--cache-dir", folder / "cache")


def test_a_column_without_numbers_is_named(folder: Path, tmp_path: Path, model: tuple[object, ...]) -> None:
    result = train(folder, tmp_path / "head", *model, "--plain", "--target", "label")
    assert result.exit_code == 2
    assert "left out row 12: the column label has no number" in result.stderr
    assert "test-0.csv has no usable row with a number in the column label" in result.stderr


@pytest.mark.parametrize("flag", ["--target", "--label-column"])
def test_a_column_that_is_missing_is_named_once(folder: Path, tmp_path: Path, flag: str) -> None:
    nowhere = ("--model", tmp_path / "no-model")
    missing = train(folder, tmp_path / "head", *nowhere, flag, "years")
    assert missing.stderr == (
        "medimageinsight: test-0.csv has no column years; "
        "its columns are 'path', 'label', 'text', 'split', 'group' and 3 more\n"
    )
    misspelt = train(folder, tmp_path / "head", *nowhere, flag, "Age")
    assert misspelt.stderr == "medimageinsight: test-0.csv has no column 'Age'; it has 'age'\n"
    assert (missing.exit_code, misspelt.exit_code) == (2, 2)


def test_a_column_that_only_the_validation_rows_lack_is_named(folder: Path, tmp_path: Path) -> None:
    val = folder / "unlabelled.csv"
    val.write_text("path,text\ntest-0-0.png,red\n")
    result = train(folder, tmp_path / "head", "--model", tmp_path / "no-model", "--val", val)
    assert result.exit_code == 2
    assert "unlabelled.csv has no column label; its columns are 'path', 'text'" in result.stderr


def test_a_misspelt_split_is_named(folder: Path, tmp_path: Path) -> None:
    data = folder / "split.csv"
    data.write_text((folder / "test-0.csv").read_text().replace(",test,", ",Train,"))
    result = invoke("adapter", "train", "--data", data, "--out", tmp_path, "--model", tmp_path / "no-model")
    assert result.exit_code == 2
    assert "the column split of split.csv has the value 'Train'; it must be 'train'" in result.stderr


def test_rows_that_are_left_out_are_in_the_order_of_the_file(
    folder: Path, tmp_path: Path, model: tuple[object, ...]
) -> None:
    header, *lines = (folder / "test-0.csv").read_text().splitlines()
    unlabelled, missing = lines[0].replace(",red,", ",,", 1), lines[1].replace("test-0-1", "missing")
    unreadable = lines[2].replace("test-0-2", "cut")
    (folder / "cut.png").write_bytes(b"no image")
    data = folder / "order.csv"
    data.write_text("\n".join([header, unreadable, *lines[3:], missing, unlabelled, missing, unreadable]))
    result = invoke("adapter", "train", "--data", data, *model, "--plain", "--epochs", 1, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    left_out = [line.split(":")[0] for line in result.stderr.splitlines() if line.startswith("left out")]
    assert left_out == [f"left out row {number}" for number in (1, 11, 12, 13, 14)]


def test_a_missing_extra_is_reported_before_anything_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    result = train(folder, tmp_path / "head", "--model", tmp_path / "no-model")
    assert result.exit_code == 2
    assert result.stderr == "medimageinsight: this needs scikit-learn: install medimageinsight-server[train]\n"


def test_a_file_without_a_usable_row_to_validate_on_is_refused(
    folder: Path, tmp_path: Path, model: tuple[object, ...]
) -> None:
    header, *lines = (folder / "test-0.csv").read_text().splitlines()
    val = folder / "unknown.csv"
    val.write_text("\n".join([header, *(line.replace(",red,", ",purple,", 1) for line in lines if ",red," in line)]))
    result = train(folder, tmp_path / "head", *model, "--plain", "--val", val)
    assert result.exit_code == 2
    assert "unknown.csv has no usable row with a label in the column label" in result.stderr


def test_stored_embeddings_of_jsonl_rows_are_refused(folder: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}")
    for files in (("--data", rows), ("--data", folder / "test-0.csv", "--val", rows)):
        result = invoke("adapter", "train", *files, "--embeddings", rows, "--out", tmp_path / "head")
        assert result.exit_code == 2
        assert "--embeddings needs a file with the column path, which a JSONL file does not have" in result.output


def test_bad_validation_rows_are_named_with_their_file(folder: Path, tmp_path: Path, model: tuple[object, ...]) -> None:
    val = folder / "val.csv"
    val.write_text((folder / "test-0.csv").read_text() + "missing.png,red,red,test,new,f,1,site 0\n")
    result = train(folder, tmp_path / "head", *model, "--plain", "--val", val, "--epochs", 1, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["validation_rows"] == 12
    assert "left out row 13 of val.csv: the column path names no image file\n" in result.stderr
