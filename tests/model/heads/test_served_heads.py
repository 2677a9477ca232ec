"""Heads of a service: named by their folders, and refused by name if they do not fit the model."""

from dataclasses import replace
from pathlib import Path

import pytest

from model.checkpoints.release_folder import find_release_folder
from model.engine import EmbeddingEngine
from model.errors import HeadError
from model.heads.head import Head
from model.heads.head_folder import save_head
from model.heads.served_heads import load_heads
from tests.app.api.classify.made_heads import LABELS, linear_head, zero_shot_head


def loaded(engine: EmbeddingEngine, *folders: Path, size: int = 0, max_labels: int = 10) -> dict[str, Head]:
    return load_heads(folders, engine.release, size or engine.embedding_size, max_labels=max_labels)


def test_heads_have_the_names_of_their_folders_in_their_order(engine: EmbeddingEngine, tmp_path: Path) -> None:
    save_head(linear_head(engine, "sigmoid"), tmp_path / "finding")
    save_head(zero_shot_head(engine), tmp_path / "modality")
    heads = loaded(engine, tmp_path / "modality", tmp_path / "finding")
    assert [(name, head.kind) for name, head in heads.items()] == [("modality", "zero_shot"), ("finding", "linear")]


def test_without_heads_the_weights_are_not_read(small_release: Path) -> None:
    release = replace(find_release_folder(small_release), weights=Path("/nowhere"))
    assert load_heads([], release, 128, max_labels=10) == {}


def test_a_head_of_other_weights_is_refused_by_name(engine: EmbeddingEngine, tmp_path: Path) -> None:
    other = replace(zero_shot_head(engine), model={"name": "2023.01.01", "weights_sha256": "0" * 64})
    save_head(other, tmp_path / "chest")
    with pytest.raises(HeadError, match=r"the head chest cannot be used: .* other weights .* \(2023\.01\.01, see"):
        loaded(engine, tmp_path / "chest")


def test_a_head_of_other_vectors_is_refused_by_name(engine: EmbeddingEngine, tmp_path: Path) -> None:
    save_head(zero_shot_head(engine), tmp_path / "chest")
    with pytest.raises(HeadError, match=r"the head chest takes embeddings of 128 numbers, but those of .* have 1024"):
        loaded(engine, tmp_path / "chest", size=1024)


def test_two_heads_of_one_name_are_refused(engine: EmbeddingEngine, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_head(zero_shot_head(engine), tmp_path / folder / "chest")
    with pytest.raises(HeadError, match="two heads have the name chest: rename one of their folders"):
        loaded(engine, tmp_path / "a" / "chest", tmp_path / "b" / "chest")


def test_a_head_with_too_many_labels_is_refused_by_name(engine: EmbeddingEngine, tmp_path: Path) -> None:
    save_head(zero_shot_head(engine), tmp_path / "chest")
    assert loaded(engine, tmp_path / "chest", max_labels=len(LABELS))
    with pytest.raises(HeadError, match="the head chest has 3 labels, but MAX_LABELS is 2"):
        loaded(engine, tmp_path / "chest", max_labels=2)


def test_a_folder_without_a_head_is_refused_by_its_path(engine: EmbeddingEngine, tmp_path: Path) -> None:
    with pytest.raises(HeadError, match=r"nothing has no head: head\.json and head\.safetensors are needed"):
        loaded(engine, tmp_path / "nothing")
