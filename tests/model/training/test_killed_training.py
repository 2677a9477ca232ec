"""A training that is killed at any file operation and resumed ends as one that nothing disturbed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.output_file import write_file
from model.training.batches.augmentation import Augmentation
from model.training.finetune import finetune
from model.training.options import FinetuneOptions
from tests.support.disk_faults.stopped_writers import copies_before_each_operation
from tests.support.learnable import make_tiny_release, write_manifest, write_pictures

STEPS = 3
RECORD, METRICS = "training.json", "metrics.jsonl"
OF_THE_CLOCK = ("finished", "training_s", "images_per_s")


@pytest.fixture
def options(tmp_path: Path) -> FinetuneOptions:
    """A training whose best weights are not the last ones, and whose lines of the log span its saved states."""
    return FinetuneOptions(
        model=make_tiny_release(tmp_path),
        out=tmp_path / "out",
        data=write_manifest(tmp_path / "manifest.csv", write_pictures(tmp_path, 24)),
        augmentation=Augmentation.none(),
        batch_size=8,
        steps=STEPS,
        learning_rate=0.05,
        warmup_steps=0,
        ema=0.5,
        eval_every=1,
        save_every=2,
        log_every=3,
        keep_best=True,
        resume=True,
        threads=1,
        device="cpu",
        tensorboard=False,
    )


def write_steps(records: list[dict[str, float]], path: Path) -> None:
    """Stands for the drawing of the curves, which takes longer than the training."""
    write_file(path, lambda partial: partial.write_text(json.dumps([record["step"] for record in records])))


def without_clock(record: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in record.items() if name not in OF_THE_CLOCK}
    if "options" in kept:
        kept["options"] = {name: value for name, value in kept["options"].items() if name != "out"}
    return kept


def contents(folder: Path) -> dict[str, Any]:
    """The content of each file in a folder, without times."""
    files: dict[str, Any] = {
        str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }
    files[RECORD] = without_clock(json.loads(files[RECORD]))
    files[METRICS] = [without_clock(json.loads(line)) for line in files[METRICS].splitlines()]
    return files


def test_a_training_killed_at_any_file_operation_and_resumed_ends_as_an_undisturbed_one(
    options: FinetuneOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.training.finetune.draw_curves", write_steps)
    threads = torch.get_num_threads()
    with copies_before_each_operation(options.out, tmp_path / "killed") as operations:
        finetune(options)
    expected = contents(options.out)
    assert expected[RECORD]["saved"]["step"] == expected[RECORD]["best_validation"]["step"] < STEPS
    assert [line["step"] for line in expected[METRICS] if "val_loss" in line] == list(range(STEPS + 1))
    assert {"os.rename training.json.partial", "os.remove training_state.pt"} <= set(operations.values())
    differing = {}
    for killed, operation in operations.items():
        finetune(replace(options, out=killed))
        found = contents(killed)
        if names := [name for name in found | expected if found.get(name) != expected.get(name)]:
            differing[operation] = names
    torch.set_num_threads(threads)
    assert differing == {}
