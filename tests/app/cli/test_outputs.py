"""Files that the commands write: refused before the model is loaded, and a sentence on a full disk."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from model.heads.head_folder import load_head
from tests.support.disk_faults.small_disk import small_disk
from tests.support.disk_faults.stopped_writers import copies_before_each_operation
from tests.support.learnable import write_manifest, write_pictures

Command = Sequence[object]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return write_manifest(tmp_path / "data" / "manifest.csv", write_pictures(tmp_path / "data", 12))


@pytest.fixture
def adapter(tmp_path: Path, data: Path, small_release: Path) -> Path:
    assert invoke(train_adapter(tmp_path, data, small_release, tmp_path / "adapter")).exit_code == 0
    return tmp_path / "adapter"


def invoke(command: Command) -> Result:
    return CliRunner().invoke(main, [str(word) for word in command], catch_exceptions=False)


def train_adapter(folder: Path, data: Path, release: Path | str, out: Path, epochs: int = 2) -> Command:
    model = ("--model", release, "--device", "cpu", "--cache-dir", folder / "cache")
    return ("adapter", "train", *model, "--data", data, "--epochs", epochs, "--out", out)


def commands(folder: Path, data: Path, release: Path | str, adapter: Path) -> dict[str, tuple[Command, Path]]:
    """Each command with the file that it writes first."""
    model = ("--model", release, "--device", "cpu", "--cache-dir", folder / "cache")
    pictures, out = data.parent, folder / "out"
    return {
        "npz": (("embed", pictures, "-o", out / "x.npz", *model, "--no-cache"), out / "x.npz"),
        "Parquet": (("embed", pictures, "-o", out / "x.parquet", *model, "--no-cache"), out / "x.parquet"),
        "predictions": (("adapter", "apply", *model, adapter, pictures, "-o", out / "x.csv"), out / "x.csv"),
        "adapter": (train_adapter(folder, data, release, out), out / "head.json"),
        "training": (
            ("finetune", *model, "--data", data, "--out", out, "--steps", 1, "--batch-size", 4, "--no-tensorboard"),
            out / "metrics.jsonl",
        ),
    }


@pytest.mark.parametrize("name", ["npz", "Parquet", "predictions", "adapter", "training"])
def test_a_full_disk_is_one_sentence_and_leaves_no_part(
    name: str, tmp_path: Path, data: Path, small_release: Path, adapter: Path
) -> None:
    command, file = commands(tmp_path, data, small_release, adapter)[name]
    (tmp_path / "out").mkdir()
    with small_disk(400):
        result = invoke(command)
    assert result.exit_code == 2, result.output
    assert f"medimageinsight: {file} cannot be written (File too large); name a writable place" in result.stderr
    assert "Traceback" not in result.output
    assert [found.name for found in file.parent.iterdir() if found.is_file() and found.name != "metrics.jsonl"] == []


@pytest.mark.parametrize("name", ["npz", "Parquet", "predictions", "adapter", "training"])
def test_a_place_that_cannot_be_written_is_refused_before_a_model_is_loaded(
    name: str, tmp_path: Path, data: Path, small_release: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, file = commands(tmp_path, data, small_release, adapter)[name]
    if file.suffix in (".npz", ".parquet", ".csv"):
        file.with_name(f"{file.name}.partial").mkdir(parents=True)
    else:
        monkeypatch.setattr("tempfile.TemporaryFile", full)
    for loader in ("app.cli.embedders.embedding_model.open_embedder", "model.training.finetune.load_model"):
        monkeypatch.setattr(loader, never)
    result = invoke(command)
    assert result.exit_code == 2, result.output
    assert f"medimageinsight: {tmp_path}/out" in result.stderr
    assert "cannot be written (" in result.stderr


def test_pictures_that_cannot_be_written_are_named(tmp_path: Path, data: Path) -> None:
    (tmp_path / "file").write_text("")
    result = invoke(("render", data.parent / "0.png", "-o", tmp_path / "file" / "pictures"))
    assert result.exit_code == 2, result.output
    assert f"{tmp_path}/file/pictures cannot be written (" in result.stderr
    with small_disk(100):
        result = invoke(("render", data.parent / "0.png", "-o", tmp_path / "pictures"))
    assert result.exit_code == 1
    assert f"{tmp_path}/pictures/0.png cannot be written (File too large)" in result.stderr
    assert list((tmp_path / "pictures").iterdir()) == []


def test_an_adapter_that_is_killed_while_it_is_saved_is_the_old_one_the_new_one_or_none(
    tmp_path: Path, data: Path, small_release: Path, adapter: Path
) -> None:
    old = load_head(adapter)
    with copies_before_each_operation(adapter, tmp_path / "killed") as operations:
        command = (*train_adapter(tmp_path, data, small_release, adapter, epochs=3), "--overwrite")
        assert invoke(command).exit_code == 0
    new = load_head(adapter)
    weights, facts = "head.safetensors", "head.json"
    pairs = {
        ((copy / weights).read_bytes(), json.loads((copy / facts).read_text())["details"]["epochs"])
        for copy in operations
        if (copy / facts).is_file()
    }
    assert {epochs for _, epochs in pairs} <= {old.details["epochs"], new.details["epochs"]}
    assert len(pairs) == len({epochs for _, epochs in pairs})


def full(**_: object) -> None:
    raise OSError(28, "No space left on device")


def never(*_: object, **__: object) -> None:
    raise AssertionError("the model was loaded")
