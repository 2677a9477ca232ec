"""The commands `evaluate` and `adapter`, with the small model in this process and behind a server."""

import csv
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
    adapters = [json.loads((folder / name / "adapter/adapter.json").read_text()) for name in ("served", "local")]
    assert adapters[0]["model"] == adapters[1]["model"]
    assert len((folder / "served.csv").read_text().splitlines()) == 13


def test_an_adapter_of_another_model_is_refused(
    folder: Path, adapter: Path, small_release: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(adapter, tmp_path / "other")
    facts = other / "adapter.json"
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
