"""Folders of heads: what is written comes back, and every damage is one sentence."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.errors import HeadError, OutputError
from model.heads.head import Head
from model.heads.head_folder import FACTS_FILE, WEIGHTS_FILE, load_head, save_head
from model.heads.scorers.layers import LayersScorer, build_layers
from model.heads.scorers.zero_shot import ZeroShotScorer
from model.imaging.preprocessing import Preprocessing, Standardization
from model.imaging.rendering import PercentileWindow, Rendering
from tests.support.disk_faults.small_disk import small_disk

FEATURES = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
MODEL = {"name": "m", "weights_sha256": "0" * 64}
ZERO_SHOT = Head(
    "zero_shot",
    ("bone", "lung", "other"),
    "softmax",
    ZeroShotScorer(FEATURES[:3], FEATURES[1:], 4.5),
    MODEL,
    Preprocessing(None, Rendering(3, "coronal", PercentileWindow(1, 99), "equalize")),
    details={"template": "{}."},
)
LINEAR = Head("linear", ("bone", "lung"), "sigmoid", LayersScorer(build_layers((6, 2)).eval(), "sigmoid"), MODEL)
MLP = Head(
    "mlp", ("age",), "identity", LayersScorer(build_layers((6, 5, 1)).eval(), "identity"), MODEL, Preprocessing()
)


@pytest.mark.parametrize("head", [ZERO_SHOT, LINEAR, MLP], ids=lambda head: str(head.kind))
def test_a_head_comes_back_from_its_folder(tmp_path: Path, head: Head) -> None:
    head = replace(head, thresholds={head.labels[0]: {"youden": {"threshold": 0.5}, "sensitivity_90": None}})
    save_head(head, tmp_path / "chest")
    assert sorted(file.name for file in (tmp_path / "chest").iterdir()) == [FACTS_FILE, WEIGHTS_FILE]
    loaded = load_head(tmp_path / "chest")
    assert (loaded.scores(FEATURES) == head.scores(FEATURES)).all()
    for name in ("kind", "labels", "activation", "model", "preprocessing", "thresholds", "details"):
        assert getattr(loaded, name) == getattr(head, name)


def test_the_name_of_a_folder_need_not_be_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"chest-\xff")
    save_head(LINEAR, folder)
    assert load_head(folder).labels == LINEAR.labels


def test_the_preprocessing_is_written_as_parameters_of_the_service(tmp_path: Path) -> None:
    save_head(replace(LINEAR, preprocessing=Preprocessing(Standardization(480, 95))), tmp_path)
    assert json.loads((tmp_path / FACTS_FILE).read_text())["preprocessing"] == {
        "image_standardization_image_size": 480,
        "image_standardization_jpeg_compression_ratio": 95,
        "frame": None,
        "axis": "axial",
        "dicom_window": None,
        "contrast": "none",
    }


def edit_facts(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        facts = json.loads((folder / FACTS_FILE).read_text())
        (folder / FACTS_FILE).write_text(json.dumps(facts | changes))

    return edit


def edit_threshold(value: object) -> Callable[[Path], None]:
    return edit_facts(thresholds={"bone": {"youden": {"threshold": value}, "sensitivity_90": None}})


def edit_weights(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        save_file(load_file(folder / WEIGHTS_FILE) | changes, folder / WEIGHTS_FILE)

    return edit


def write(name: str, content: bytes | None) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)

    return edit


DAMAGES = {
    "no facts": (write(FACTS_FILE, None), "has no head"),
    "no weights": (write(WEIGHTS_FILE, None), "has no head"),
    "facts that are not JSON": (write(FACTS_FILE, b"{"), "is damaged"),
    "facts that nest deeply": (write(FACTS_FILE, b"[" * 100_000), "is damaged"),
    "facts that are a list": (write(FACTS_FILE, b"[]"), "keys of format 1"),
    "weights that are a pickle": (write(WEIGHTS_FILE, b"\x80\x04."), "is damaged"),
    "a later format": (edit_facts(format=2), "keys of format 1"),
    "files elsewhere": (edit_facts(weights="../../other.safetensors"), "keys of format 1"),
    "an unknown kind": (edit_facts(kind="forest"), "does not exist"),
    "an unknown activation": (edit_facts(activation="relu"), "does not exist"),
    "no labels": (edit_facts(labels=[]), "must be a list of different texts"),
    "a label twice": (edit_facts(labels=["bone", "bone"]), "must be a list of different texts"),
    "a label that is a number": (edit_facts(labels=["bone", 1]), "must be a list of different texts"),
    "a label that cannot be encoded": (edit_facts(labels=["bone", "\ud800"]), "must be a list of different texts"),
    "labels that are a text": (edit_facts(labels="ab"), "must be a list of different texts"),
    "a regression with two labels": (edit_facts(activation="identity"), "a head that predicts a number has only one"),
    "a model that is a list": (edit_facts(model=[["name", "m"]]), "model in head.json must be an object"),
    "too few labels": (edit_facts(labels=["bone"]), "1 labels, but head.safetensors is made for 2"),
    "an axis that does not exist": (edit_facts(preprocessing={"axis": "diagonal"}), "is damaged"),
    "thresholds that are a list": (edit_facts(thresholds=[1]), "thresholds in head.json must have"),
    "thresholds of a label that are a number": (
        edit_facts(thresholds={"bone": 5}),
        "thresholds in head.json must have",
    ),
    "a point that is a list": (edit_facts(thresholds={"bone": {"youden": [1]}}), "thresholds in head.json must have"),
    "a point without threshold": (edit_facts(thresholds={"bone": {"youden": {}}}), "thresholds in head.json must have"),
    "a threshold that is a text": (edit_threshold("0.5"), "thresholds in head.json must have"),
    "a threshold that is null": (edit_threshold(None), "thresholds in head.json must have"),
    "a threshold that is NaN": (edit_threshold(float("nan")), "thresholds in head.json must have"),
    "a threshold without bounds": (edit_threshold(10**400), "thresholds in head.json must have"),
    "NaN": (edit_weights(**{"0.bias": torch.tensor([0, float("nan")])}), r"0\.bias .* not finite"),
    "infinity": (edit_weights(**{"0.bias": torch.tensor([0, float("inf")])}), r"0\.bias .* not finite"),
    "infinity in float32": (
        edit_weights(**{"0.bias": torch.tensor([0, 1e300], dtype=torch.float64)}),
        r"0\.bias .* not finite",
    ),
    "integers": (edit_weights(**{"0.bias": torch.tensor([0, 1])}), r"0\.bias must have the type float16"),
    "numbers of 8 bits": (
        edit_weights(**{"0.bias": torch.zeros(2).to(torch.float8_e5m2)}),
        r"0\.bias must have the type float16",
    ),
    "another shape": (edit_weights(**{"0.bias": torch.zeros(3)}), r"0\.bias has the shape \[3\], but \[2\]"),
    "an unknown tensor": (edit_weights(**{"1.bias": torch.zeros(3)}), "tensor 3.bias is missing"),
}


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_head_is_refused_in_a_sentence(tmp_path: Path, damage: Callable[[Path], None], sentence: str) -> None:
    save_head(LINEAR, tmp_path)
    damage(tmp_path)
    with pytest.raises(HeadError, match=sentence) as refusal:
        load_head(tmp_path)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


ZERO_SHOT_DAMAGES = {
    "another activation": (edit_facts(activation="sigmoid"), "kind zero_shot has the activation softmax"),
    "a scale beyond float64": (
        edit_weights(logit_scale=torch.tensor(1000.0, dtype=torch.float64)),
        "logit_scale must be at most 100",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), ZERO_SHOT_DAMAGES.values(), ids=ZERO_SHOT_DAMAGES)
def test_a_damaged_zero_shot_head_is_refused(tmp_path: Path, damage: Callable[[Path], None], sentence: str) -> None:
    save_head(ZERO_SHOT, tmp_path)
    damage(tmp_path)
    with pytest.raises(HeadError, match=sentence):
        load_head(tmp_path)


@pytest.mark.parametrize(("most_bytes", "file"), [(100, FACTS_FILE), (600, WEIGHTS_FILE)])
def test_a_full_disk_leaves_the_old_head(tmp_path: Path, most_bytes: int, file: str) -> None:
    save_head(LINEAR, tmp_path)
    before = {found.name: found.read_bytes() for found in tmp_path.iterdir()}
    large = replace(MLP, scorer=LayersScorer(build_layers((6, 200, 1)).eval(), "identity"))
    with small_disk(most_bytes), pytest.raises(OutputError, match=f"{file} cannot be written"):
        save_head(large, tmp_path)
    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == before
    assert load_head(tmp_path).labels == LINEAR.labels


def test_a_head_that_replaces_another_has_files_of_one_mode(tmp_path: Path) -> None:
    save_head(LINEAR, tmp_path)
    (tmp_path / WEIGHTS_FILE).chmod(0o600)
    save_head(MLP, tmp_path)
    assert len({(tmp_path / name).stat().st_mode for name in (FACTS_FILE, WEIGHTS_FILE)}) == 1


def test_links_to_the_files_of_a_head_stay(tmp_path: Path) -> None:
    save_head(LINEAR, tmp_path / "real")
    (tmp_path / "linked").mkdir()
    for name in (FACTS_FILE, WEIGHTS_FILE):
        (tmp_path / "linked" / name).symlink_to(tmp_path / "real" / name)
    save_head(MLP, tmp_path / "linked")
    for folder in ("real", "linked"):
        assert load_head(tmp_path / folder).labels == MLP.labels


def test_a_stopped_save_leaves_the_old_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_head(LINEAR, tmp_path)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("model.heads.head_folder.save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        save_head(MLP, tmp_path)
    assert load_head(tmp_path).labels == LINEAR.labels
