"""The zero-shot head that a fine-tuning writes on request."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.checkpoints.release_folder import find_release_folder
from model.data.manifest import read_manifest
from model.engine import EmbeddingEngine
from model.engine_embedder import EngineEmbedder
from model.errors import TrainingError
from model.heads.head_folder import load_head
from model.heads.served_heads import load_heads
from model.imaging.preprocessing import Preprocessing
from model.training.batches.augmentation import Augmentation
from model.training.finetune import finetune
from model.training.options import FinetuneOptions
from tests.support.learnable import LABELS, make_tiny_release, write_manifest, write_pictures


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Run torch on one thread: the models are too small for more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def options(tmp_path: Path) -> FinetuneOptions:
    return FinetuneOptions(
        model=make_tiny_release(tmp_path),
        out=tmp_path / "out",
        data=write_manifest(tmp_path / "manifest.csv", write_pictures(tmp_path, 24)),
        batch_size=8,
        steps=1,
        device="cpu",
        threads=1,
        tensorboard=False,
        classifier=True,
    )


def test_the_head_classifies_as_the_validation_does(options: FinetuneOptions) -> None:
    bare = replace(options, augmentation=Augmentation.none(), steps=40, learning_rate=5e-3, ema=0.9)
    record = finetune(replace(bare, preprocessing=Preprocessing(standardization=None)))
    release = find_release_folder(options.out)
    engine = EmbeddingEngine.load(options.out, device="cpu", threads=1)
    heads = load_heads([options.out / "classifier"], release, engine.embedding_size, max_labels=10)
    head = heads["classifier"]
    assert (head.kind, set(head.labels), head.activation) == ("zero_shot", set(LABELS), "softmax")
    assert head.preprocessing == Preprocessing(standardization=None)
    assert head.details["prompts"] == {label: {"present": [label], "absent": []} for label in head.labels}
    assert options.data is not None
    rows = read_manifest(options.data).with_split("val").rows
    embedder = EngineEmbedder(lambda: engine, preprocessing=head.preprocessing)
    scores = head.scores(embedder.images([row.image for row in rows]).features)
    right = [head.labels[place] == row.label for place, row in zip(scores.argmax(1), rows, strict=True)]
    assert sum(right) / len(right) == pytest.approx(record["last_validation"]["val_accuracy"])
    assert sum(right) > len(right) / 2


def test_labels_of_tsv_files_are_named_by_their_class_names(options: FinetuneOptions, tmp_path: Path) -> None:
    images, texts = [], []
    for number in range(6):
        data = base64.b64encode((tmp_path / f"{number}.png").read_bytes()).decode()
        images.append(f"{number}\t{data}\n")
        facts = {"class_id": number % 3, "class_name": LABELS[number % 3], "source": "own"}
        texts.append(f"{number}\t{json.dumps(facts)}\n")
    (tmp_path / "i.tsv").write_text("".join(images))
    (tmp_path / "t.tsv").write_text("".join(texts))
    wordings = {"dark": ["dark", "a night"]}
    finetune(
        replace(options, data=None, image_tsv=tmp_path / "i.tsv", text_tsv=tmp_path / "t.tsv", label_texts=wordings)
    )
    head = load_head(options.out / "classifier")
    assert head.labels == LABELS
    assert head.details["prompts"]["dark"]["present"] == ["dark", "a night"]


def test_rows_without_two_labels_are_refused_before_the_training(options: FinetuneOptions, tmp_path: Path) -> None:
    records = [{"path": f"{number}.png", "text": f"a picture {number}", "label": ""} for number in range(8)]
    captions = write_manifest(tmp_path / "captions.csv", records)
    with pytest.raises(TrainingError, match=r"at least two labels, but those of .*captions\.csv have none; give the"):
        finetune(replace(options, data=captions))
    assert not (options.out / "metrics.jsonl").exists()
    assert not (options.out / "state").exists()
    one_label = write_manifest(tmp_path / "one.csv", [record | {"label": "dark"} for record in records])
    with pytest.raises(TrainingError, match=r"one\.csv have 1; give the rows labels, or leave --classifier out"):
        finetune(replace(options, data=one_label))


def test_a_finished_training_gets_the_head_later(options: FinetuneOptions) -> None:
    record = finetune(replace(options, classifier=False))
    assert not (options.out / "classifier").exists()
    assert finetune(replace(options, resume=True)) == record
    assert set(load_head(options.out / "classifier").labels) == set(LABELS)


def test_a_finished_training_of_other_data_gets_no_head(options: FinetuneOptions, tmp_path: Path) -> None:
    finetune(replace(options, classifier=False))
    again = replace(options, resume=True)
    others = [{"path": "0.png", "label": "cat"}, {"path": "1.png", "label": "dog"}]
    for changed in (
        replace(again, data=write_manifest(tmp_path / "others.csv", others)),
        replace(again, preprocessing=Preprocessing(standardization=None)),
    ):
        with pytest.raises(TrainingError, match="out holds a training with other data or options; resume with the"):
            finetune(changed)
    assert not (options.out / "classifier").exists()


def test_a_record_without_a_fingerprint_gets_no_head(options: FinetuneOptions) -> None:
    finetune(replace(options, classifier=False))
    record = options.out / "training.json"
    facts = json.loads(record.read_text())
    del facts["fingerprint"]
    record.write_text(json.dumps(facts))
    with pytest.raises(TrainingError, match="other data or options"):
        finetune(replace(options, resume=True))
