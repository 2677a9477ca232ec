"""Whole trainings of a tiny model: results, resumption, bad rows, options and the command line."""

import base64
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from app.cli.main import main
from model.checkpoints.checkpoint import load_model, save_model
from model.checkpoints.release_folder import find_release_folder
from model.config import read_config
from model.engine import EmbeddingEngine
from model.errors import ManifestError, TrainingError, TrainingInterrupted
from model.training.batches.augmentation import Augmentation
from model.training.finetune import finetune
from model.training.options import FinetuneOptions
from model.training.outputs.log import read_metrics
from tests.support.console_script import CHECKOUT, SCRIPT
from tests.support.learnable import LABELS, make_tiny_release, write_manifest, write_pictures

ROOT = Path(__file__).parents[3]
WEIGHTS = "vision_model/model.safetensors"
STEPS = 12


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Run torch on one thread: the models are too small for more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_release(tmp_path_factory.mktemp("tiny"), drop_path=0.2)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    return write_manifest(folder / "manifest.csv", write_pictures(folder, 48))


@pytest.fixture
def options(release: Path, pictures: Path, tmp_path: Path) -> FinetuneOptions:
    return FinetuneOptions(
        model=release,
        out=tmp_path / "out",
        data=pictures,
        batch_size=8,
        steps=STEPS,
        learning_rate=2e-3,
        warmup_steps=2,
        eval_every=6,
        save_every=3,
        log_every=1,
        threads=1,
        tensorboard=False,
    )


@pytest.fixture(scope="module")
def uninterrupted(release: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of the training of `options` without an interruption."""
    out = tmp_path_factory.mktemp("uninterrupted") / "out"
    finetune(options.__wrapped__(release, pictures, out.parent))  # type: ignore[attr-defined]
    return out


def weights_of(folder: Path) -> bytes:
    return (folder / WEIGHTS).read_bytes()


def test_a_model_learns_and_the_service_loads_what_is_saved(options: FinetuneOptions, tmp_path: Path) -> None:
    bare = replace(options, augmentation=Augmentation.none(), steps=60, learning_rate=5e-3, eval_every=30, ema=0.9)
    record = finetune(replace(bare, keep_best=True, tensorboard=True))
    out = options.out
    assert record == json.loads((out / "training.json").read_text())
    assert record["options"]["batch_size"] == 8
    assert record["data"]["train"]["rows"] == 36
    assert record["last_validation"]["val_balanced_accuracy"] > 0.9
    metrics = read_metrics(out / "metrics.jsonl")
    losses = [line["loss"] for line in metrics if "loss" in line]
    assert len(losses) == 60
    assert sum(losses[-5:]) < sum(losses[:5])
    assert (out / "training.png").stat().st_size > 10_000
    assert [line["step"] for line in metrics if "val_loss" in line] == [0, 30, 60]
    before = record["validation_before_training"]
    assert before == metrics[0]
    assert before["val_balanced_accuracy"] < record["last_validation"]["val_balanced_accuracy"]
    assert (out / "tensorboard").exists() == (find_spec("tensorboard") is not None)
    assert not (out / "state").exists()
    assert load_file(out / WEIGHTS).keys() == load_file(options.model / WEIGHTS).keys()
    engine = EmbeddingEngine.load(out, device="cpu", threads=1)
    images = [engine.preprocess_image((options.data.parent / f"{n}.png").read_bytes(), None) for n in range(3)]  # type: ignore[union-attr]
    similarities = (
        engine.embed_images([engine.stage_images(images)])
        @ engine.embed_texts([engine.tokenize(label) for label in LABELS]).T
    )
    assert similarities.argmax(1).tolist() == [0, 1, 2]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    options: FinetuneOptions, uninterrupted: Path
) -> None:
    finetune(replace(options, eval_every=5, save_every=100))  # the intervals of validation and saving change nothing
    assert weights_of(options.out) == weights_of(uninterrupted)
    finetune(replace(options, seed=1, out=options.out.with_name("other")))
    assert weights_of(options.out.with_name("other")) != weights_of(uninterrupted)


def test_workers_and_the_cache_change_no_weight(options: FinetuneOptions, uninterrupted: Path) -> None:
    finetune(replace(options, workers=2, cache_pixels=64))
    assert weights_of(options.out) != b""
    finetune(replace(options, cache_pixels=64, out=options.out.with_name("other")))
    assert weights_of(options.out) == weights_of(options.out.with_name("other")) == weights_of(uninterrupted)


def test_after_sigterm_it_resumes_to_the_same_weights(options: FinetuneOptions, uninterrupted: Path) -> None:
    metrics = options.out / "metrics.jsonl"
    threading.Thread(target=_signal_after, args=(metrics, 4, os.getpid(), signal.SIGTERM), daemon=True).start()
    with pytest.raises(TrainingInterrupted, match="continue with --resume"):
        finetune(options)
    assert not (options.out / WEIGHTS).exists()
    with pytest.raises(TrainingError, match="interrupted training"):
        finetune(options)
    record = finetune(replace(options, resume=True))
    assert weights_of(options.out) == weights_of(uninterrupted)
    assert [line["step"] for line in read_metrics(metrics) if "loss" in line] == list(range(1, STEPS + 1))
    assert finetune(replace(options, resume=True)) == record  # nothing is left to do


def test_after_sigkill_it_resumes_to_the_same_weights(options: FinetuneOptions, uninterrupted: Path) -> None:
    flags = ["--batch-size", "8", "--steps", str(STEPS), "--learning-rate", "2e-3", "--warmup-steps", "2"]
    flags += ["--eval-every", "6", "--save-every", "3", "--log-every", "1", "--threads", "1", "--no-tensorboard"]
    flags += ["--model", str(options.model), "--data", str(options.data), "--out", str(options.out), "--resume"]
    process = subprocess.Popen(
        [SCRIPT, "finetune", *flags], env=os.environ | CHECKOUT, stderr=subprocess.PIPE, text=True
    )
    _signal_after(options.out / "metrics.jsonl", 5, process.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    assert (options.out / "state" / "training_state.pt").is_file()
    result = CliRunner().invoke(main, ["finetune", *flags])
    assert result.exit_code == 0, result.output
    assert "resuming after step" in result.output
    assert weights_of(options.out) == weights_of(uninterrupted)


def _signal_after(metrics: Path, lines: int, process: int, number: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(read_metrics(metrics)) < lines:
        time.sleep(0.005)
    os.kill(process, number)


def test_a_state_of_another_training_or_a_damaged_one_is_refused(options: FinetuneOptions) -> None:
    with pytest.raises(TrainingError, match="already holds a model"):
        finetune(replace(options, out=options.model))
    state = options.out / "state" / "training_state.pt"
    state.parent.mkdir(parents=True)
    torch.save({"fingerprint": "another"}, state)
    with pytest.raises(TrainingError, match="other data or options"):
        finetune(replace(options, resume=True))
    state.write_bytes(b"cut short")
    with pytest.raises(TrainingError, match="cannot be read"):
        finetune(replace(options, resume=True))


def test_frozen_parameters_stay_as_they_were(options: FinetuneOptions) -> None:
    finetune(replace(options, freeze=("^lang_encoder", r"convs\.0"), ema=0.0, gradient_checkpointing=True))
    before, after = load_file(options.model / WEIGHTS), load_file(options.out / WEIGHTS)
    unchanged = {key for key in before if torch.equal(before[key], after[key])}
    assert unchanged == {key for key in before if key.startswith("lang_encoder") or "convs.0" in key}


def test_the_saved_weights_are_the_moving_average(options: FinetuneOptions) -> None:
    finetune(replace(options, ema=0.0))
    finetune(replace(options, ema=0.9, out=options.out.with_name("average")))
    start = load_file(options.model / WEIGHTS)["image_projection"]
    last = load_file(options.out / WEIGHTS)["image_projection"]
    average = load_file(options.out.with_name("average") / WEIGHTS)["image_projection"]
    assert 0 < (average - start).norm() < (last - start).norm()


def test_bad_rows_are_reported_and_recorded_and_strict_refuses_them(options: FinetuneOptions, pictures: Path) -> None:
    damaged = pictures.parent / "damaged.png"
    damaged.write_bytes((pictures.parent / "0.png").read_bytes()[:200])  # its header is complete
    records: list[dict[str, Any]] = [{"path": f"{n}.png", "label": LABELS[n % 3], "group": "p"} for n in range(6)]
    records += [
        {"path": "gone.png", "label": "dark", "group": "p"},
        {"path": "damaged.png", "label": "dark", "group": "q"},
    ]
    manifest = write_manifest(pictures.parent / "bad.csv", records)
    said: list[str] = []
    with_bad = replace(options, data=manifest, val=pictures, steps=2)
    record = finetune(with_bad, say=said.append)
    assert "bad.csv: 7 training rows, 1 bad rows left out" in said
    assert "  row 7: the column path names no image file" in said
    assert record["data"]["train"]["bad_rows"] == [{"row": 7, "reason": "the column path names no image file"}]
    assert record["unreadable_rows"] == [8]
    with pytest.raises(ManifestError, match="row 7"):
        finetune(replace(with_bad, strict=True, out=options.out.with_name("strict")))
    manifest.write_text("\n".join(line for line in manifest.read_text().splitlines() if "gone" not in line))
    with pytest.raises(TrainingError, match="row 7: the PNG image is cut short"):
        finetune(replace(with_bad, strict=True, out=options.out.with_name("strict")))


def test_groups_in_both_training_and_validation_are_reported(options: FinetuneOptions, pictures: Path) -> None:
    records = [{"path": f"{n}.png", "label": LABELS[n % 3], "group": f"patient{n % 2}"} for n in range(6)]
    manifest = write_manifest(pictures.parent / "both.csv", records)
    said: list[str] = []
    finetune(replace(options, data=manifest, val=manifest, steps=1), say=said.append)
    assert "2 groups have both training and validation rows: the validation will look better than it is" in said
    with pytest.raises(ManifestError, match="2 groups"):
        finetune(replace(options, data=manifest, val=manifest, strict=True, out=options.out.with_name("strict")))


def test_mixed_precision_trains_weights_that_stay_float32(options: FinetuneOptions) -> None:
    finetune(replace(options, steps=2, mixed_precision="bfloat16"))
    assert {tensor.dtype for tensor in load_file(options.out / WEIGHTS).values()} == {torch.float32}


def test_the_notebooks_files_train_from_the_command_line(
    options: FinetuneOptions, pictures: Path, tmp_path: Path
) -> None:
    images, texts = [], []
    for number in range(9):
        data = base64.b64encode((pictures.parent / f"{number}.png").read_bytes()).decode()
        images.append(f"{number}\t{data}\n")
        facts = {"class_id": number % 3, "class_name": LABELS[number % 3], "source": "own", "task": "classification"}
        texts.append(f"{number}\t{json.dumps(facts)}\n")
    (tmp_path / "i.tsv").write_text("".join(images))
    (tmp_path / "t.tsv").write_text("".join(texts))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    (tmp_path / "texts.json").write_text(json.dumps({"dark": ["dark", "a night"]}))
    flags = ["--image-tsv", "i.tsv", "--text-tsv", "t.tsv", "--val-image-tsv", "i.tsv", "--val-text-tsv", "t.tsv"]
    flags += ["--label-file", "labels.txt", "--label-texts", "texts.json"]
    flags = [str(tmp_path / flag) if "." in flag else flag for flag in flags]
    flags += ["--freeze", "^lang_encoder", "--learning-rate-for", "_projection$=0.01", "--extra", "blur=0.2"]
    flags += ["--sample-by", "label", "--share", "own:0=0.5"]
    flags += ["--crop-area", "0.5", "--no-trivial-augment", "--steps", "2", "--batch-size", "6", "--threads", "1"]
    result = CliRunner().invoke(main, ["finetune", "--model", str(options.model), "--out", str(options.out), *flags])
    assert result.exit_code == 0, result.output
    record = json.loads((options.out / "training.json").read_text())
    assert record["batch_shares"] == {"own:0": 0.5, "own:1": 0.25, "own:2": 0.25}
    assert record["options"]["learning_rates"] == {"_projection$": 0.01}
    assert record["options"]["augmentation"]["crop_area"] == 0.5


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--data", "{data}", "--freeze", "nothing"], "matches no parameter"),
        (["--data", "{data}", "--share", "s0=0.5"], "shares need sample_by"),
        (["--data", "{data}", "--share", "s0"], "is not of the form NAME=NUMBER"),
        (["--data", "{data}", "--batch-size", "0"], "0 is not in the range"),
        (["--data", "{data}", "--mixed-precision", "float16"], "float16 needs CUDA"),
        ([], "a manifest is needed, or an image TSV"),
    ],
)
def test_wrong_options_end_with_a_sentence(options: FinetuneOptions, flags: list[str], complaint: str) -> None:
    given = [flag.format(data=options.data) for flag in flags]
    given += ["--model", str(options.model), "--out", str(options.out)]
    result = CliRunner().invoke(main, ["finetune", "--device", "cpu", *given])
    assert result.exit_code == 2
    assert complaint in result.output


def test_half_precision_weights_are_saved_and_loaded(release: Path, tmp_path: Path) -> None:
    found = find_release_folder(release)
    config, cpu = read_config(found.config), torch.device("cpu")
    model = load_model(found.weights, config, 514, device=cpu, dtype=torch.float32)
    save_model(model, tmp_path / "half", config=found.config, tokenizer=found.tokenizer, dtype=torch.float16)
    half = load_file(tmp_path / "half" / WEIGHTS)
    assert {tensor.dtype for key, tensor in half.items() if key != "logit_scale"} == {torch.float16}
    assert half["logit_scale"].dtype == torch.float32
    vector = EmbeddingEngine.load(tmp_path / "half", device="cpu", threads=1).embed_texts([(512, 5, 513)])
    expected = EmbeddingEngine.load(release, device="cpu", threads=1).embed_texts([(512, 5, 513)])
    np.testing.assert_allclose(vector, expected, atol=2e-3)
