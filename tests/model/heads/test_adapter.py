"""Adapters: training, files, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data.image_source import ImageSource
from model.data.manifest import Row
from model.errors import CheckpointError, ManifestError
from model.evaluation.labels import Labels, truth_of
from model.evaluation.rows import EmbeddedRows
from model.heads.adapter import FACTS_FILE, WEIGHTS_FILE, Adapter, load_adapter
from model.heads.adapter_training import train_adapter
from model.heads.options import AdapterOptions
from tests.support.colour_engine import unit

LABELS = Labels(("a", "b", "c"), one_label=True, column="label")
QUICK = AdapterOptions(epochs=40)


def embedded(count: int = 120, seed: int = 0) -> EmbeddedRows:
    """Rows of three labels, whose embeddings scatter around one direction per label."""
    rng = np.random.default_rng(seed)
    names = [LABELS.names[row % 3] for row in range(count)]
    centres = np.eye(3, 6)
    vectors = [centres[row % 3] + rng.normal(0, 0.15, 6) for row in range(count)]
    rows = [Row(row + 1, ImageSource(Path("x")), (), name, {"label": name}) for row, name in enumerate(names)]
    return EmbeddedRows(rows, unit(np.array(vectors)), [b"%d" % row for row in range(count)])


def accuracy(adapter: Adapter, rows: EmbeddedRows) -> float:
    right = truth_of(rows.rows, LABELS).argmax(axis=1) == adapter.probabilities(rows.features).argmax(axis=1)
    return float(right.mean())


@pytest.mark.parametrize("hidden", [0, 16])
def test_it_learns_labels_and_comes_back_the_same_from_disk(tmp_path: Path, hidden: int) -> None:
    adapter = train_adapter(embedded(), LABELS, replace(QUICK, hidden=hidden), model={"name": "m"})
    assert accuracy(adapter, embedded(seed=1)) > 0.97
    adapter.save(tmp_path)
    loaded = load_adapter(tmp_path)
    features = embedded(seed=2).features
    assert (loaded.probabilities(features) == adapter.probabilities(features)).all()
    assert loaded.probabilities(features).sum(axis=1) == pytest.approx(1)
    assert loaded.sizes == ((6, 16, 3) if hidden else (6, 3))
    assert loaded.model == {"name": "m"}


def test_the_facts_are_plain_json(tmp_path: Path) -> None:
    train_adapter(embedded(), LABELS, QUICK).save(tmp_path)
    facts = json.loads((tmp_path / FACTS_FILE).read_text())
    assert facts["labels"] == ["a", "b", "c"]
    assert facts["thresholds"]["a"].keys() == {"sensitivity_90", "youden"}
    assert facts["thresholds"]["a"]["sensitivity_90"]["sensitivity"] >= 0.9
    assert facts["training"]["rows"] == 96
    assert facts["training"]["validation_rows"] == 24


def test_the_same_seed_learns_the_same() -> None:
    features = embedded(seed=3).features
    one, same, other = (
        train_adapter(embedded(), LABELS, replace(QUICK, seed=seed, epochs=3)).probabilities(features)
        for seed in (0, 0, 1)
    )
    assert (one == same).all()
    assert (one != other).any()


def test_thresholds_are_chosen_on_the_validation_rows() -> None:
    only_a_and_b = embedded(60, seed=4)
    validation = only_a_and_b.take([place for place, row in enumerate(only_a_and_b.rows) if row.label != "c"])
    adapter = train_adapter(embedded(), LABELS, QUICK, validation=validation)
    assert adapter.thresholds["c"] == {"sensitivity_90": None, "youden": None}
    assert adapter.training["rows"] == 120


def test_several_labels_per_row() -> None:
    labels = replace(LABELS, one_label=False)
    rows = embedded()
    both = [replace(row, label="a|b" if row.label == "a" else row.label) for row in rows.rows]
    adapter = train_adapter(replace(rows, rows=both), labels, replace(QUICK, batch_size=16))
    chances = adapter.probabilities(rows.features[:3])
    assert (chances > 0.5).tolist() == [[True, True, False], [False, True, False], [False, False, True]]


def test_embeddings_of_another_size_are_refused() -> None:
    adapter = train_adapter(embedded(), LABELS, replace(QUICK, epochs=1))
    with pytest.raises(CheckpointError, match="size 6, not 4"):
        adapter.probabilities(np.zeros((1, 4), dtype=np.float32))


def test_one_label_or_one_group_is_too_little_to_learn() -> None:
    with pytest.raises(ManifestError, match="two labels"):
        train_adapter(embedded(), Labels(("a",), one_label=True, column="label"), QUICK)
    with pytest.raises(ManifestError, match="two groups"):
        train_adapter(embedded(1), LABELS, QUICK)


@pytest.mark.parametrize("damage", ["no facts", "no weights", "bad facts", "bad weights", "other sizes", "no format"])
def test_a_damaged_adapter_is_refused_in_a_sentence(tmp_path: Path, damage: str) -> None:
    train_adapter(embedded(), LABELS, replace(QUICK, epochs=1)).save(tmp_path)
    facts, weights = tmp_path / FACTS_FILE, tmp_path / WEIGHTS_FILE
    match damage:
        case "no facts":
            facts.unlink()
        case "no weights":
            weights.unlink()
        case "bad facts":
            facts.write_text("{")
        case "bad weights":
            weights.write_bytes(b"pickle?")
        case "other sizes":
            facts.write_text(facts.read_text().replace("6,\n    3", "7,\n    3"))
        case "no format":
            facts.write_text("{}")
    with pytest.raises(CheckpointError, match="adapter"):
        load_adapter(tmp_path)
