"""The command `adapter`: heads from images or stored embeddings, flags without effect, and the files of `apply`."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from model.heads.head_folder import load_head
from model.imaging.preprocessing import Preprocessing
from tests.support.colour_engine import write_manifest


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve images, their manifest, and the embedding cache that the tests share."""
    folder = tmp_path_factory.mktemp("adapter")
    write_manifest(folder, 12, noise=5)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path, small_release: Path) -> tuple[object, ...]:
    return ("--model", small_release, "--device", "cpu", "--cache-dir", folder / "cache")


@pytest.fixture(scope="module")
def stored(folder: Path, model: tuple[object, ...]) -> dict[str, Path]:
    """The embeddings of the images, in both formats."""
    files = {kind: folder / f"out.{kind}" for kind in ("npz", "parquet")}
    for file in files.values():
        assert invoke("embed", folder, "--plain", "-o", file, *model).exit_code == 0
    return files


def train(folder: Path, out: Path, *arguments: object) -> Result:
    return invoke("adapter", "train", "--data", folder / "test-0.csv", "--out", out, "--json", *arguments)


def answer(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("--epochs", 3), "linear"),
        (("--kind", "mlp", "--hidden", 8, "--epochs", 3), "mlp"),
        (("--kind", "svm", "--svm-c", 2, "--gamma", 0.01), "svm"),
        (("--kind", "svm", "--kernel", "linear"), "svm"),
    ],
    ids=["linear", "MLP", "RBF machine", "linear machine"],
)
def test_every_kind_is_trained_and_applied(
    folder: Path, tmp_path: Path, model: tuple[object, ...], options: tuple[object, ...], kind: str
) -> None:
    facts = answer(train(folder, tmp_path / "head", *model, *options, "--plain"))
    assert (facts["kind"], facts["labels"]) == (kind, ["blue", "green", "red"])
    assert facts["rows"] + facts["validation_rows"] == 12
    assert load_head(tmp_path / "head").preprocessing == Preprocessing(standardization=None)
    applied = invoke("adapter", "apply", *model, tmp_path / "head", folder, "-o", tmp_path / "out.csv")
    assert applied.exit_code == 0, applied.output
    assert applied.stderr.endswith(f"{tmp_path}/out.csv: 12 images\n")
    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    points = ("", " at sensitivity_90", " at youden")
    assert list(rows[0]) == ["path", "label", *(f"{label}{end}" for label in facts["labels"] for end in points)]
    for row in rows:
        scores = {label: float(row[label]) for label in facts["labels"]}
        assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
        assert scores[row["label"]] == max(scores.values())
        assert row["red at youden"] in ("0", "1", "")


def test_parquet_has_the_same_columns(folder: Path, tmp_path: Path, model: tuple[object, ...]) -> None:
    answer(train(folder, tmp_path / "head", *model, "--plain", "--epochs", 3))
    for kind in ("csv", "parquet"):
        applied = invoke("adapter", "apply", *model, tmp_path / "head", folder, "-o", tmp_path / f"out.{kind}")
        assert applied.exit_code == 0, applied.output
    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == list(rows[0])
    for row, other in zip(rows, table.to_pylist(), strict=True):
        assert (row["path"], row["label"]) == (other["path"], other["label"])
        assert float(row["red"]) == pytest.approx(other["red"], abs=1e-6)
        assert row["red at youden"] == ("" if other["red at youden"] is None else str(other["red at youden"]))


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_number_is_learnt_and_predicted(folder: Path, tmp_path: Path, model: tuple[object, ...], kind: str) -> None:
    data = tmp_path / "ages.csv"
    lines = (folder / "test-0.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    cells[3][6] = "young"
    data.write_text("\n".join([lines[0], *(",".join([str(folder / row[0]), *row[1:]]) for row in cells)]))
    rows = ("--data", data, "--val", folder / "test-0.csv", "--target", "age")
    result = invoke("adapter", "train", *rows, "--kind", kind, "--out", tmp_path, *model, "--plain", "--json")
    facts = answer(result)
    assert "left out row 4: the column age has no number\n" in result.stderr
    assert (facts["kind"], facts["labels"], facts["rows"], facts["validation_rows"]) == (kind, ["age"], 11, 12)
    error = facts["mean_absolute_error"]
    assert error["interval"][0] <= error["value"] <= error["interval"][1]
    assert load_head(tmp_path).details["mean_absolute_error"] == error
    applied = invoke("adapter", "apply", *model, tmp_path, folder, "-o", tmp_path / "out.csv")
    assert applied.exit_code == 0, applied.output
    with (tmp_path / "out.csv").open(newline="") as stream:
        predicted = list(csv.DictReader(stream))
    assert list(predicted[0]) == ["path", "age"]
    assert all(np.isfinite(float(row["age"])) for row in predicted)


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_stored_embeddings_give_the_head_that_the_model_gives(
    folder: Path, tmp_path: Path, model: tuple[object, ...], stored: dict[str, Path], kind: str
) -> None:
    answer(train(folder, tmp_path / "model", *model, "--plain", "--epochs", 3))
    answer(train(folder, tmp_path / "stored", "--embeddings", stored[kind], "--epochs", 3))
    first, second = (load_head(tmp_path / name) for name in ("model", "stored"))
    features = np.eye(first.scorer.embedding_size, dtype=np.float32)
    assert first.scores(features) == pytest.approx(second.scores(features))
    assert (first.model, first.preprocessing) == (second.model, second.preprocessing)
    assert second.preprocessing == Preprocessing(standardization=None)


def test_stored_embeddings_need_no_images(folder: Path, tmp_path: Path, stored: dict[str, Path]) -> None:
    """The paths of the manifest are those that embed got; one of them is unknown."""
    lines = (folder / "test-0.csv").read_text().splitlines()
    gone = tmp_path / "gone"
    with np.load(stored["npz"]) as arrays:
        content = dict(arrays)
    content["image_paths"] = np.array([str(gone / Path(path).name) for path in content["image_paths"]])
    np.savez(tmp_path / "out.npz", **content)
    written = [f"{gone}/{line}" for line in lines[1:]]
    data = tmp_path / "test.csv"
    data.write_text("\n".join([lines[0], *written, f"{gone}/new.png,red,red,test,new,f,1,site 0"]))
    arguments = ("--data", data, "--embeddings", tmp_path / "out.npz", "--epochs", 1, "--out", tmp_path / "head")
    result = invoke("adapter", "train", *arguments, "--json")
    assert answer(result)["rows"] + answer(result)["validation_rows"] == 12
    assert "left out row 13: its path is not in the file of embeddings\n" in result.stderr


def test_a_table_says_what_the_validation_rows_say(folder: Path, tmp_path: Path, stored: dict[str, Path]) -> None:
    arguments = ("--data", folder / "test-0.csv", "--embeddings", stored["npz"], "--out", tmp_path / "head")
    result = invoke("adapter", "train", *arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["label", "rows", "validation", "rows", "AUC", "sensitivity", "specificity"]
    assert [line.split()[0] for line in lines[1:4]] == ["blue", "green", "red"]
    assert result.stderr.endswith(f"{tmp_path}/head: linear head with 3 labels\n")


def test_a_head_is_only_replaced_if_a_flag_says_so(folder: Path, tmp_path: Path, stored: dict[str, Path]) -> None:
    answer(train(folder, tmp_path / "head", "--embeddings", stored["npz"], "--epochs", 1))
    (tmp_path / "head" / "head.safetensors").chmod(0o600)  # as a file of an earlier version may be
    refused = train(folder, tmp_path / "head", "--embeddings", stored["npz"])
    assert refused.exit_code == 2
    sentence = "head has a head already; name another folder, or replace it by --overwrite"
    assert sentence in refused.stderr
    assert load_head(tmp_path / "head").details["epochs"] == 1
    answer(train(folder, tmp_path / "head", "--embeddings", stored["npz"], "--epochs", 2, "--overwrite"))
    assert load_head(tmp_path / "head").details["epochs"] == 2
    assert len({file.stat().st_mode for file in (tmp_path / "head").iterdir()}) == 1


def without_identity(source: Path, target: Path) -> None:
    if source.suffix == ".npz":
        with np.load(source) as arrays:
            np.savez(target, **{name: array for name, array in arrays.items() if name != "weights_sha256"})
    else:
        pq.write_table(pq.read_table(source).replace_schema_metadata(None), target)


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_embeddings_of_an_unknown_model_are_refused(
    folder: Path, tmp_path: Path, stored: dict[str, Path], kind: str
) -> None:
    file = tmp_path / f"old.{kind}"
    without_identity(stored[kind], file)
    result = train(folder, tmp_path / "head", "--embeddings", file)
    assert result.exit_code == 2
    assert f"medimageinsight: {file} does not name the weights that made its embeddings; embed" in result.stderr


def test_embeddings_of_other_images_are_refused(folder: Path, tmp_path: Path, stored: dict[str, Path]) -> None:
    lines = (folder / "test-0.csv").read_text().splitlines()
    data = tmp_path / "test.csv"
    data.write_text("\n".join([lines[0], *(f"other/{line}" for line in lines[1:])]))
    result = invoke("adapter", "train", "--data", data, "--embeddings", stored["npz"], "--out", tmp_path / "head")
    assert result.exit_code == 2
    assert "none of the 12 paths of the manifest is in the file of embeddings" in result.stderr


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PAR1"], ids=["empty", "cut npz", "cut Parquet"])
@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_a_damaged_file_of_embeddings_is_one_sentence(folder: Path, tmp_path: Path, kind: str, content: bytes) -> None:
    (tmp_path / f"cut.{kind}").write_bytes(content)
    result = train(folder, tmp_path / "head", "--embeddings", tmp_path / f"cut.{kind}")
    assert result.exit_code == 2
    assert f"medimageinsight: {tmp_path}/cut.{kind} cannot be read as embeddings" in result.stderr


def test_a_file_of_texts_has_no_images(folder: Path, tmp_path: Path, model: tuple[object, ...]) -> None:
    for kind in ("npz", "parquet"):
        file = tmp_path / f"texts.{kind}"
        assert invoke("embed", "--text", "red", "-o", file, *model).exit_code == 0
        result = train(folder, tmp_path / "head", "--embeddings", file)
        assert result.exit_code == 2
        assert f"{file} has no embeddings of images" in result.stderr


def test_an_array_of_objects_is_not_unpickled(folder: Path, tmp_path: Path) -> None:
    class Opened:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "opened",))

    paths = np.array([Opened()], dtype=object)
    np.savez(tmp_path / "out.npz", image_features=np.ones((1, 2), np.float32), image_paths=paths)
    result = train(folder, tmp_path / "head", "--embeddings", tmp_path / "out.npz")
    assert result.exit_code == 2
    assert "cannot be read as embeddings" in result.stderr
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--hidden 8", "--hidden has no effect with --kind linear; it belongs to --kind mlp"),
        ("--kind svm --epochs 8", "--epochs has no effect with --kind svm; it belongs to --kind linear or mlp"),
        ("--kind svm --kernel linear --gamma 1", "--gamma has no effect with --kind svm --kernel linear; leave it out"),
        ("--kernel rbf", "--kernel has no effect with --kind linear; it belongs to --kind svm"),
        ("--target age --epochs 8", "--epochs has no effect with --kind linear --target; it belongs to --kind mlp"),
        ("--target age --kind svm", "--kind svm predicts labels, not numbers"),
        ("--target age --label-column sex", "--label-column is about labels, but --target predicts a number"),
        ("--target age --single-label", "--multi-label/--single-label is about labels, but --target"),
        ("--embeddings FILE --model m", "--embeddings takes vectors that are already computed: leave out --model"),
        ("--embeddings FILE --server http://x", "already computed: leave out --server"),
        ("--embeddings FILE --plain", "already computed: leave out --plain"),
        ("--embeddings FILE --dicom-window lung", "already computed: leave out --dicom-window"),
    ],
)
def test_flags_that_have_no_effect_are_refused_by_name(
    folder: Path, tmp_path: Path, arguments: str, sentence: str
) -> None:
    words = [str(folder / "test-0.csv") if word == "FILE" else word for word in arguments.split()]
    result = train(folder, tmp_path / "head", *words)
    assert result.exit_code == 2
    assert sentence in result.output
    assert not (tmp_path / "head").exists()
