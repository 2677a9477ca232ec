"""The head in Azure's classification folders: found beside the release, and refused by name if it does not fit."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.checkpoints.release_folder import find_release_folder
from model.engine import EmbeddingEngine
from model.errors import HeadError
from model.heads.azure_classifier import AzureClassifier, read_azure_classifier
from tests.model.checkpoints.azure_folder import write_adapter_folder, write_zero_shot_folder
from tests.support.samples import text_vector

LABELS = ("polyp", "normal esophagus")
FACTS = {"name": "azure", "weights_sha256": "0"}
SIZE = 128


def read(folder: Path, *, max_labels: int = 10) -> AzureClassifier | None:
    return read_azure_classifier(find_release_folder(folder), SIZE, max_labels=max_labels)


def refusal(folder: Path, **options: int) -> str:
    with pytest.raises(HeadError) as refused:
        read(folder, **options)
    return str(refused.value)


def no_engine() -> EmbeddingEngine:
    raise AssertionError("an adapter needs no text encoder")


def test_labels_beside_a_release_make_a_zero_shot_head(
    tmp_path: Path, small_release: Path, engine: EmbeddingEngine
) -> None:
    classifier = read(write_zero_shot_folder(tmp_path / "azure", small_release, LABELS))
    assert classifier is not None
    head = classifier.head(FACTS, lambda: engine)
    assert (head.kind, head.labels, head.activation, head.model) == ("zero_shot", LABELS, "softmax", FACTS)
    assert head.details["template"] == "{}."
    vectors = torch.from_numpy(np.stack([text_vector(engine, f"{label}.") for label in LABELS]))
    torch.testing.assert_close(head.scorer.tensors()["present"], vectors, atol=1e-5, rtol=0)


def test_an_adapter_makes_a_head_without_the_text_encoder(tmp_path: Path, small_release: Path) -> None:
    folder = write_adapter_folder(tmp_path / "azure", small_release, LABELS, SIZE)
    (folder / "artifacts" / "checkpoints" / "config.json").write_text('{"labels": ["of an earlier classifier"]}')
    classifier = read(folder)
    assert classifier is not None
    head = classifier.head(FACTS, no_engine)
    assert (head.kind, head.labels, head.activation) == ("azure_adapter", LABELS, "softmax")


def test_other_folders_have_no_classifier(tmp_path: Path, small_release: Path) -> None:
    assert read(small_release) is None
    folder = write_zero_shot_folder(tmp_path / "azure", small_release, LABELS)
    (folder / "artifacts" / "checkpoints" / "config.json").unlink()
    assert read(folder) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"labels": ["polyp"', "config.json is not JSON"),
        ("[]", "must be a list of different texts, at least one"),
        ('{"label": ["polyp"]}', "must be a list of different texts, at least one"),
        ('{"labels": []}', "must be a list of different texts, at least one"),
        ('{"labels": ["a", "a"]}', "must be a list of different texts, at least one"),
        ('{"labels": ["a", ""]}', "must be a list of different texts, at least one"),
        ('{"labels": ["a", " "]}', "must be a list of different texts, at least one"),
        ('{"labels": ["a", "\\ud800"]}', "must be a list of different texts, at least one"),
        ('{"labels": ["a"]}', "artifacts/checkpoints/config.json: a zero-shot classifier needs at least two labels"),
    ],
)
def test_a_damaged_label_file_is_refused(tmp_path: Path, small_release: Path, content: str, message: str) -> None:
    folder = write_zero_shot_folder(tmp_path / "azure", small_release, LABELS)
    (folder / "artifacts" / "checkpoints" / "config.json").write_text(content)
    assert message in refusal(folder)


@pytest.mark.parametrize("kind", ["zero-shot", "adapter"])
def test_too_many_labels_are_refused(tmp_path: Path, small_release: Path, kind: str) -> None:
    folder = tmp_path / "azure"
    if kind == "adapter":
        write_adapter_folder(folder, small_release, LABELS, SIZE)
    else:
        write_zero_shot_folder(folder, small_release, LABELS)
    assert "config.json: there are 2 labels, but MAX_LABELS is 1" in refusal(folder, max_labels=1)


def test_an_adapter_for_other_embeddings_is_refused(tmp_path: Path, small_release: Path) -> None:
    folder = write_adapter_folder(tmp_path / "azure", small_release, LABELS, 1024)
    assert "in_channels is 1024, but embeddings of this model have 128 numbers" in refusal(folder)


def test_an_incomplete_adapter_is_refused(tmp_path: Path, small_release: Path) -> None:
    folder = write_adapter_folder(tmp_path / "azure", small_release, LABELS, SIZE)
    adapter = folder / "artifacts" / "checkpoints" / "adapter_model"
    facts: dict[str, Any] = json.loads((adapter / "config.json").read_text())
    (adapter / "config.json").write_text(json.dumps(facts | {"hidden_dim": 7}))
    assert "adapter_model.pth does not match config.json" in refusal(folder)
    (adapter / "config.json").unlink()
    assert "config.json cannot be read: No such file or directory" in refusal(folder)


def test_code_in_the_weights_is_refused_and_not_run(tmp_path: Path, small_release: Path) -> None:
    folder = write_adapter_folder(tmp_path / "azure", small_release, LABELS, SIZE)
    marker = tmp_path / "code-was-run"
    weights = folder / "artifacts" / "checkpoints" / "adapter_model" / "adapter_model.pth"
    torch.save({"vision_embd.0.weight": _Code(marker)}, weights)
    assert "holds more than tensors and is not loaded" in refusal(folder)
    assert not marker.exists()


class _Code:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._marker),)
