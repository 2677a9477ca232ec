"""Adapters of earlier versions, in the files that these wrote, are still read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from model.errors import HeadError
from model.heads.head_folder import load_head
from model.imaging.preprocessing import Preprocessing

FEATURES = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
POINT = {"threshold": 0.4, "sensitivity": 0.9, "specificity": 0.8}
THRESHOLDS = {"bone": {"sensitivity_90": POINT, "youden": None}, "lung": {"sensitivity_90": None, "youden": POINT}}


def write_earlier_adapter(folder: Path, layers: nn.Sequential, sizes: list[int], **facts: Any) -> None:
    save_file(layers.state_dict(), folder / "adapter.safetensors")
    facts = {
        "format": 1,
        "labels": ["bone", "lung"],
        "one_label_a_row": True,
        "sizes": sizes,
        "thresholds": THRESHOLDS,
        "model": {"name": "m", "weights_sha256": "0" * 64, "plain": False},
        "training": {"hidden": 0, "epochs": 7},
    } | facts
    (folder / "adapter.json").write_text(json.dumps(facts, indent=2))


def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 2)).eval()


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Dropout(0.1), nn.Linear(5, 2)).eval()


@pytest.mark.parametrize("one_label", [True, False], ids=["one label", "several labels"])
@pytest.mark.parametrize(("layers", "sizes"), [(linear(), [6, 2]), (mlp(), [6, 5, 2])], ids=["linear", "mlp"])
def test_its_scores_are_as_before(tmp_path: Path, layers: nn.Sequential, sizes: list[int], one_label: bool) -> None:
    write_earlier_adapter(tmp_path, layers, sizes, one_label_a_row=one_label)
    head = load_head(tmp_path)
    with torch.inference_mode():
        logits = layers(torch.from_numpy(FEATURES)).double()
        expected = logits.softmax(dim=-1) if one_label else logits.sigmoid()
    assert (head.scores(FEATURES) == expected.numpy()).all()
    assert head.kind == ("linear" if len(sizes) == 2 else "mlp")
    assert (head.labels, head.thresholds, head.details["epochs"]) == (("bone", "lung"), THRESHOLDS, 7)
    assert head.preprocessing == Preprocessing()
    head.check_model("m", "0" * 64)


def test_plain_images_stay_plain(tmp_path: Path) -> None:
    write_earlier_adapter(tmp_path, linear(), [6, 2], model={"name": "m", "weights_sha256": "0" * 64, "plain": True})
    assert load_head(tmp_path).preprocessing == Preprocessing(standardization=None)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    write_earlier_adapter(tmp_path, linear(), [6, 2], format=2)
    with pytest.raises(HeadError, match=r"adapter\.json has an unknown format; train the adapter again"):
        load_head(tmp_path)
