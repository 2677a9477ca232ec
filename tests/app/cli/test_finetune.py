"""The command `finetune`: started by torchrun as the help text says, with the files of Microsoft's services."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from app.inference.model_loader import load_engine
from app.settings import Settings
from tests.support.console_script import CHECKOUT, SCRIPT, TIMEOUT_S
from tests.support.learnable import LABELS, make_tiny_release, write_manifest, write_pictures

QUICK = ("--steps", "1", "--device", "cpu", "--threads", "1", "--no-tensorboard")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_tiny_release(tmp_path)


def write_jsonl(folder: Path, name: str, count: int) -> Path:
    """Write pictures of three classes as the records of MedImageInsight Premium's fine-tuning."""
    lines = []
    for number, record in enumerate(write_pictures(folder, count)):
        data = base64.b64encode((folder / record["path"]).read_bytes()).decode()
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        target = {"class_id": LABELS.index(record["label"]) + 1, "class_name": record["label"]}
        if number % 4 == 3:
            target = {"caption": f"a {record['label']} picture"}
        messages = [{"role": "user", "content": [image]}, {"role": "assistant", "content": json.dumps(target)}]
        lines.append(json.dumps({"messages": messages}))
        (folder / record["path"]).unlink()
    (folder / name).write_text("\n".join(lines))
    return folder / name


def test_torchrun_starts_the_console_script_in_a_folder_with_app_and_model(tmp_path: Path) -> None:
    for name in ("app.py", "model.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file was imported')\n")
    release = make_tiny_release(tmp_path)
    manifest = write_manifest(tmp_path / "manifest.csv", write_pictures(tmp_path, 16))
    torchrun = [str(Path(sys.executable).with_name("torchrun")), "--no-python", "--nproc-per-node", "2"]
    flags = ["--steps", "1", "--batch-size", "8", "--device", "cpu", "--threads", "1", "--no-tensorboard"]
    done = subprocess.run(
        [*torchrun, SCRIPT, "finetune", "--model", release.name, "--data", manifest.name, "--out", "out", *flags],
        cwd=tmp_path,
        env=os.environ | CHECKOUT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "training.json").read_text())["processes"] == 2


def test_records_of_premium_train_a_model_and_its_classifier_that_are_served(release: Path, tmp_path: Path) -> None:
    train, val = write_jsonl(tmp_path, "train.jsonl", 16), write_jsonl(tmp_path, "val.jsonl", 8)
    with train.open("a") as stream:
        stream.write('\n{"messages": []}\n')
    out = tmp_path / "out"
    done = invoke("finetune", "--model", release, "--data", train, "--val", val, "--classifier", "--out", out, *QUICK)
    assert done.exit_code == 0, done.output
    assert "train.jsonl: 16 training rows, 1 bad rows left out" in done.stderr
    assert "row 17: the messages must be a user with exactly one image_url" in done.stderr
    record = json.loads((out / "training.json").read_text())
    assert record["last_validation"]["val_accuracy"] >= 0
    loaded = load_engine(Settings(model=str(out), heads=str(out / "classifier"), device="cpu"))
    assert set(loaded.heads["classifier"].labels) == set(LABELS)


def test_records_of_premium_are_evaluated_too(release: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path, "test.jsonl", 24)
    report = tmp_path / "report"
    flags = ["--tasks", "zero-shot", "--samples", "20", "--device", "cpu", "--no-cache"]
    done = invoke("evaluate", "--model", release, "--data", data, "--out", report, *flags)
    assert done.exit_code == 0, done.output
    assert json.loads((report / "report.json").read_text())["rows"] == 24


def test_a_classifier_needs_labels(release: Path, tmp_path: Path) -> None:
    records = [record | {"label": "", "text": "words"} for record in write_pictures(tmp_path, 8)]
    data = write_manifest(tmp_path / "captions.csv", records)
    done = invoke("finetune", "--model", release, "--data", data, "--classifier", "--out", tmp_path / "out", *QUICK)
    assert done.exit_code == 2
    assert done.stderr.count("\n") < 4
    assert "captions.csv have none; give the rows labels, or leave --classifier out" in done.stderr


def test_a_config_of_the_notebook_sets_what_no_flag_sets(release: Path, tmp_path: Path) -> None:
    data = write_manifest(tmp_path / "manifest.csv", write_pictures(tmp_path, 16))
    config = tmp_path / "train.yaml"
    config.write_text(
        "NAME: finetune\nSTART_LEARNING_RATE: 1e-4\nMAX_NUM_EPOCHS: 3\nTRAIN:\n  BATCH_SIZE_TOTAL: 8\n"
        "AUG:\n  TORCHVISION_AUG:\n    RE_PROB: 0.5\nLR_SCHEDULER_PARAMS:\n  min_lr: 1e-4\n"
        "CUSTOMIZED_PARAMS_CONF:\n  FREEZE_PATTERNS: ['^convs']\nLANG_ENCODER:\n  LAYERS: 16\n"
    )
    out = tmp_path / "out"
    flags = ["--data", data, "--out", out, "--learning-rate", "1e-3", "--batch-size", "4"]
    done = invoke("finetune", "--model", release, "--config", config, *flags, *QUICK)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("no counterpart here and are not read: NAME, LANG_ENCODER\n") == 1
    options = json.loads((out / "training.json").read_text())["options"]
    assert (options["learning_rate"], options["batch_size"]) == (1e-3, 4)
    assert (options["epochs"], options["augmentation"]["erase"]) == (3, 0.5)
    assert options["min_learning_rate"] == pytest.approx(0.1)
    assert options["freeze"] == [r"^image_encoder\.convs"]


def test_a_wrong_value_of_a_config_ends_with_a_sentence(release: Path, tmp_path: Path) -> None:
    data = write_manifest(tmp_path / "manifest.csv", write_pictures(tmp_path, 8))
    (tmp_path / "train.yaml").write_text("TRAIN:\n  BATCH_SIZE_TOTAL: many\n")
    flags = ["--model", release, "--data", data, "--out", tmp_path / "out", "--config", tmp_path / "train.yaml"]
    done = invoke("finetune", *flags, *QUICK)
    assert done.exit_code == 2
    assert done.stderr.endswith("train.yaml: TRAIN.BATCH_SIZE_TOTAL must be a whole number\n")
