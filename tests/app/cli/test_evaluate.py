"""The commands `evaluate` and `adapter`, with the small model in this process and behind a server."""

import csv
import errno
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from tests.support.colour_engine import write_manifest
from tests.support.servers.serving import serving


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve images, their manifest, and the embedding cache that the tests share."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_manifest(folder, 12, noise=5)
    return folder


def common(folder: Path, small_release: Path) -> list[object]:
    return [
        "--model",
        small_release,
        "--data",
        folder / "test-0.csv",
        "--cache-dir",
        folder / "cache",
        "--device",
        "cpu",
    ]


@pytest.fixture(scope="module")
def adapter(folder: Path, small_release: Path) -> Path:
    """An adapter of the small model, trained on the twelve images."""
    adapter = folder / "adapter"
    trained = invoke("adapter", "train", *common(folder, small_release), "--epochs", 5, "--out", adapter)
    assert trained.exit_code == 0, trained.output
    return adapter


def test_evaluate_writes_the_same_report_from_the_cache(folder: Path, small_release: Path) -> None:
    for name in ("one", "same"):
        options = ("--tasks", "zero-shot,retrieval", "--samples", 5, "--by", "sex", "--out", folder / name)
        result = invoke("evaluate", *common(folder, small_release), *options)
        assert result.exit_code == 0, result.output
        assert "zero-shot: macro_auc" in result.output
    report = json.loads((folder / "one/report.json").read_text())
    assert report["rows"] == 12
    assert report["options"]["by"] == ["sex"]
    assert (folder / "one/report.json").read_bytes() == (folder / "same/report.json").read_bytes()


def test_two_models_are_compared_on_the_same_rows(folder: Path, small_release: Path, tmp_path: Path) -> None:
    options = ("--tasks", "zero-shot", "--samples", 20, "--out")
    first = invoke("evaluate", *common(folder, small_release), "--contrast", "equalize", *options, tmp_path / "one")
    assert first.exit_code == 0, first.output
    other = tmp_path / "one" / "report.json"
    result = invoke("evaluate", *common(folder, small_release), *options, tmp_path / "two", "--compare", other)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "two" / "report.json").read_text())
    assert report["comparison"]["changed"] == {"contrast": ["none", "equalize"]}
    auc = report["comparison"]["tasks"]["zero-shot"]["metrics"]["macro_auc"]
    assert f"zero-shot: macro_auc {auc['value']:.3f} instead of {auc['other']:.3f}" in result.stdout
    assert auc["finding"] in result.stdout
    assert "Comparison with" in (tmp_path / "two" / "report.html").read_text()


def test_a_report_on_other_rows_is_refused_before_the_model_is_loaded(folder: Path, tmp_path: Path) -> None:
    other, no_report = tmp_path / "report.json", tmp_path / "no.json"
    other.write_text('{"format": 2, "tasks": {}, "data": {"file": {"name": "val.csv", "sha256": "0"}}}')
    no_report.write_text("{}")
    model = ("--model", tmp_path / "no-model", "--data", folder / "test-0.csv", "--out", tmp_path / "out")
    knn = tmp_path / "knn.json"
    data = {"file": {"name": "test-0.csv", "sha256": hashlib.sha256((folder / "test-0.csv").read_bytes()).hexdigest()}}
    knn.write_text(json.dumps({"format": 2, "tasks": {"knn": {}}, "data": data, "training": {"rows": 0}}))
    for file, sentence in (
        (other, "its val.csv has another content than test-0.csv"),
        (no_report, "is not a report"),
        (knn, "the other report has none of these tasks"),
    ):
        result = invoke("evaluate", *model, "--tasks", "zero-shot,retrieval", "--compare", file)
        assert result.exit_code == 2
        assert sentence in result.stderr
        assert "no-model" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_page_has_the_command_as_typed_and_pictures_on_demand(
    folder: Path, small_release: Path, tmp_path: Path
) -> None:
    options = ("--tasks", "zero-shot", "--samples", 0, "--out", tmp_path / "out", "--mistake-pictures", 2)
    result = invoke("evaluate", *common(folder, small_release), *options)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"medimageinsight evaluate --model {small_release} --data" in page
    assert page.count("data:image/jpeg;base64,") == 2


def test_the_intervals_have_a_progress_bar(folder: Path, small_release: Path, tmp_path: Path) -> None:
    options = ("--tasks", "knn", "--samples", 5, "--by", "sex", "--out", tmp_path / "out")
    result = invoke("evaluate", *common(folder, small_release), *options)
    assert "intervals of knn: 100%" in result.stderr


def test_a_skipped_task_is_named_with_its_reason(folder: Path, small_release: Path, tmp_path: Path) -> None:
    data = folder / "one-group.csv"
    lines = (folder / "test-0.csv").read_text().splitlines()
    groups = {cell for line in lines[1:] for cell in line.split(",") if cell.startswith("test0g")}
    text = "\n".join(lines)
    for group in sorted(groups, key=len, reverse=True):
        text = text.replace(f",{group},", ",one,")
    data.write_text(text)
    options = ("--data", data, "--samples", 0, "--out", tmp_path / "out")
    result = invoke("evaluate", *common(folder, small_release), *options, "--tasks", "zero-shot,knn")
    assert result.exit_code == 1
    assert "knn is skipped: without train rows, the test rows must be of at least two groups" in result.stderr
    assert "knn" in json.loads((tmp_path / "out/report.json").read_text())["skipped"]
    nothing = invoke("evaluate", *common(folder, small_release), *options[:-1], tmp_path / "no", "--tasks", "knn")
    assert nothing.exit_code == 2
    assert "no task can run" in nothing.stderr
    assert not (tmp_path / "no").exists()


def test_misspelt_names_end_before_the_model_is_loaded(folder: Path, tmp_path: Path) -> None:
    data, prompts = tmp_path / "data.csv", tmp_path / "prompts.json"
    data.write_text(f"path,Label\n{folder / 'test-0-0.png'},red\n")
    prompts.write_text('{"Red": "red"}')
    model = ("--model", tmp_path / "no-model", "--out", tmp_path / "out")
    result = invoke("evaluate", *model, "--data", data)
    assert result.exit_code == 2
    assert "data.csv has a column 'Label'; it must be called 'label'" in result.stderr
    result = invoke("evaluate", *model, "--data", folder / "test-0.csv", "--prompts", prompts, "--tasks", "zero-shot")
    assert result.exit_code == 2
    assert "no label of the rows has a prompt" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_report_that_cannot_be_written_ends_before_the_model_is_loaded(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "out", tmp_path / "file" / "below"):
        result = invoke("evaluate", "--model", tmp_path / "no-model", "--data", folder / "test-0.csv", "--out", out)
        assert result.exit_code == 2
        assert "cannot be written" in result.stderr
        assert "no-model" not in result.stderr


def test_a_full_disk_keeps_the_old_report(
    folder: Path, small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--tasks", "zero-shot", "--samples", 0, "--out", tmp_path / "out")
    assert invoke("evaluate", *common(folder, small_release), *options).exit_code == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}

    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    result = invoke("evaluate", *common(folder, small_release), *options)
    assert result.exit_code == 2
    assert "report.json cannot be written (No space left on device)" in result.stderr
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_an_adapter_is_trained_and_applied(folder: Path, adapter: Path, small_release: Path) -> None:
    model = ("--model", small_release, "--cache-dir", folder / "cache", "--device", "cpu")
    result = invoke("adapter", "apply", *model, adapter, folder, "-o", folder / "out.csv")
    assert result.exit_code == 0, result.output
    lines = list(csv.DictReader((folder / "out.csv").read_text().splitlines()))
    assert len(lines) == 12
    assert sum(float(lines[0][label]) for label in ("red", "green", "blue")) == pytest.approx(1, abs=1e-5)
    assert lines[0]["red at youden"] in ("0", "1", "")


def test_a_server_gives_the_same_report_and_the_same_adapter(folder: Path, small_release: Path) -> None:
    with serving(small_release) as url:
        for name, model in (("served", ("--server", url)), ("local", ("--model", small_release, "--device", "cpu"))):
            data = ("--data", folder / "test-0.csv", "--cache-dir", folder / name)
            options = ("--tasks", "zero-shot", "--samples", 0, "--out", folder / name)
            assert invoke("evaluate", *model, *data, *options).exit_code == 0
            trained = invoke("adapter", "train", *model, *data, "--epochs", 5, "--out", folder / name / "adapter")
            assert trained.exit_code == 0, trained.output
        applied = invoke(
            "adapter",
            "apply",
            *("--server", url, "--cache-dir", folder / "served"),
            *(folder / "local" / "adapter", folder, "-o", folder / "served.csv"),
        )
        assert applied.exit_code == 0, applied.output
    served, local = (json.loads((folder / name / "report.json").read_text()) for name in ("served", "local"))
    assert served["model"] == local["model"]
    for metric, found in served["tasks"]["zero-shot"]["metrics"].items():
        assert found["value"] == pytest.approx(local["tasks"]["zero-shot"]["metrics"][metric]["value"], abs=1e-4)
    adapters = [json.loads((folder / name / "adapter/head.json").read_text()) for name in ("served", "local")]
    assert adapters[0]["model"] == adapters[1]["model"]
    assert len((folder / "served.csv").read_text().splitlines()) == 13


def test_an_adapter_of_another_model_is_refused(
    folder: Path, adapter: Path, small_release: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(adapter, tmp_path / "other")
    facts = other / "head.json"
    facts.write_text(facts.read_text().replace('"weights_sha256": "', '"weights_sha256": "0'))
    model = ("--model", small_release, "--cache-dir", folder / "cache", "--device", "cpu")
    result = invoke("adapter", "apply", *model, other, folder, "-o", tmp_path / "no.csv")
    assert result.exit_code == 2
    assert "other weights" in result.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(("--tasks", "magic"), "'magic' is not one of"), (("--split", "val"), "no usable row of the split")],
)
def test_wrong_options_end_in_a_sentence(
    folder: Path, small_release: Path, options: tuple[str, ...], sentence: str
) -> None:
    result = invoke("evaluate", *common(folder, small_release), *options, "--out", folder / "none")
    assert result.exit_code == 2
    assert sentence in result.output
    assert not (folder / "none").exists()


def test_prompts_with_a_name_that_no_file_can_have_are_refused(folder: Path, small_release: Path) -> None:
    result = invoke("evaluate", *common(folder, small_release), "--prompts", "x" * 300, "--out", folder / "named")
    assert result.exit_code == 2
    assert "this is neither a file nor a name of the label catalogue" in result.stderr


def test_prompts_may_be_named_in_the_label_catalogue(folder: Path, small_release: Path) -> None:
    known, unknown = (
        invoke("evaluate", *common(folder, small_release), "--prompts", name, "--out", folder / "named")
        for name in ("oct", "chest")
    )
    assert known.exit_code == unknown.exit_code == 2
    assert "the prompts are for 'choroidal neovascularization', 'diabetic macular edema'" in known.output
    assert "neither a file nor a name of the label catalogue, which has body-part" in " ".join(unknown.output.split())
