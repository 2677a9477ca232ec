"""Training of adapters: what they learn, what is stored with them, and what is too little to learn from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from model.errors import ManifestError
from model.evaluation.labels import Labels, truth_of
from model.evaluation.rows import EmbeddedRows
from model.heads.adapter_training import train_adapter
from model.heads.head import Head
from model.heads.head_folder import FACTS_FILE, load_head, save_head
from model.heads.options import AdapterKind, AdapterOptions
from model.imaging.preprocessing import Preprocessing
from tests.model.heads.embedded_rows import LABELS, embedded

QUICK = AdapterOptions(epochs=30, hidden=16, learning_rate=0.02)
PLAIN = Preprocessing(standardization=None)
MEASURED = {"per_label", "accuracy", "balanced_accuracy"}


def accuracy(head: Head, rows: EmbeddedRows) -> float:
    right = truth_of(rows.rows, LABELS).argmax(axis=1) == head.scores(rows.features).argmax(axis=1)
    return float(right.mean())


@pytest.mark.parametrize(
    "options",
    [
        QUICK,
        replace(QUICK, kind="mlp"),
        replace(QUICK, kind="svm"),
        replace(QUICK, kind="svm", kernel="linear"),
    ],
    ids=["linear", "MLP", "RBF machine", "linear machine"],
)
def test_it_learns_labels_and_comes_back_the_same_from_disk(tmp_path: Path, options: AdapterOptions) -> None:
    model = {"name": "m", "weights_sha256": "0" * 64}
    head = train_adapter(embedded(), LABELS, options, model=model, preprocessing=PLAIN)
    assert accuracy(head, embedded(seed=1)) > 0.97
    save_head(head, tmp_path)
    loaded = load_head(tmp_path)
    features = embedded(seed=2).features
    assert (loaded.scores(features) == head.scores(features)).all()
    assert loaded.scores(features).sum(axis=1) == pytest.approx(1)
    assert (loaded.kind, loaded.model, loaded.preprocessing) == (options.kind, model, PLAIN)
    loaded.check_model("m", "0" * 64)


@pytest.mark.parametrize(
    ("kind", "used"),
    [
        ("linear", {"kind", "epochs", "patience", "batch_size", "learning_rate", "weight_decay", "seed"}),
        ("mlp", {"kind", "hidden", "epochs", "patience", "batch_size", "learning_rate", "weight_decay", "seed"}),
        ("svm", {"kind", "kernel", "svm_c", "gamma", "seed"}),
    ],
)
def test_the_details_are_the_options_that_were_used_and_the_results(
    tmp_path: Path, kind: AdapterKind, used: set[str]
) -> None:
    save_head(train_adapter(embedded(), LABELS, replace(QUICK, kind=kind)), tmp_path)
    facts = json.loads((tmp_path / FACTS_FILE).read_text())
    assert facts["labels"] == ["a", "b", "c"]
    assert facts["thresholds"]["a"].keys() == {"sensitivity_90", "youden"}
    assert facts["thresholds"]["a"]["sensitivity_90"]["sensitivity"] >= 0.9
    results = {"uncalibrated_labels"} if kind == "svm" else {"best_epoch", "validation_loss"}
    assert facts["details"].keys() == {*used, *results, *MEASURED, "rows", "validation_rows"}
    assert (facts["details"]["rows"], facts["details"]["validation_rows"]) == (96, 24)


def test_the_validation_rows_measure_the_scores_as_scikit_learn_does() -> None:
    validation = embedded(80, seed=5, spread=0.9)
    truth = truth_of(validation.rows, LABELS)
    head = train_adapter(embedded(200, spread=0.9), LABELS, QUICK, validation=validation)
    scores, details = head.scores(validation.features), head.details
    for column, label in enumerate(LABELS.names):
        assert details["per_label"][label]["auc"] == pytest.approx(roc_auc_score(truth[:, column], scores[:, column]))
        assert details["per_label"][label]["validation_rows"] == truth[:, column].sum()
    true, found = truth.argmax(axis=1), scores.argmax(axis=1)
    assert details["accuracy"] == pytest.approx(accuracy_score(true, found))
    assert details["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true, found))
    assert 0.5 < details["accuracy"] < 1


def test_the_same_seed_learns_the_same() -> None:
    features = embedded(seed=3).features
    one, same, other = (
        train_adapter(embedded(), LABELS, replace(QUICK, seed=seed, epochs=3)).scores(features) for seed in (0, 0, 1)
    )
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("kind", ["linear", "svm"])
def test_thresholds_are_chosen_on_the_validation_rows(kind: AdapterKind) -> None:
    only_a_and_b = embedded(60, seed=4)
    validation = only_a_and_b.take([place for place, row in enumerate(only_a_and_b.rows) if row.label != "c"])
    head = train_adapter(embedded(), LABELS, replace(QUICK, kind=kind), validation=validation)
    assert head.thresholds["c"] == {"sensitivity_90": None, "youden": None}
    assert head.details["rows"] == 120
    assert head.details["per_label"]["c"] == {"rows": 40, "validation_rows": 0, "auc": None}
    assert head.details.get("uncalibrated_labels", ["c"]) == ["c"]


def test_a_validation_row_is_decided_the_same_when_it_is_scored_again() -> None:
    rows = embedded(200, spread=0.6)
    head = train_adapter(rows, LABELS, QUICK, validation=embedded(80, seed=5, spread=0.6))
    features, truth = embedded(80, seed=5, spread=0.6).features, truth_of(embedded(80, seed=5).rows, LABELS)
    one_by_one = np.concatenate([head.scores(vector[None]) for vector in features])
    for column, label in enumerate(LABELS.names):
        for point in head.thresholds[label].values():
            positive = one_by_one[:, column] >= point["threshold"]
            assert positive[truth[:, column]].mean() == pytest.approx(point["sensitivity"])
            assert (~positive)[~truth[:, column]].mean() == pytest.approx(point["specificity"])


@pytest.mark.parametrize("kind", ["linear", "mlp", "svm"])
def test_several_labels_per_row(kind: AdapterKind) -> None:
    labels = replace(LABELS, one_label=False)
    rows = embedded()
    both = [replace(row, label="a|b" if row.label == "a" else row.label) for row in rows.rows]
    head = train_adapter(replace(rows, rows=both), labels, replace(QUICK, kind=kind, batch_size=48))
    chances = head.scores(rows.features[:3])
    assert (chances > 0.5).tolist() == [[True, True, False], [False, True, False], [False, False, True]]


def test_one_label_or_one_group_is_too_little_to_learn() -> None:
    with pytest.raises(ManifestError, match="two labels"):
        train_adapter(embedded(), Labels(("a",), one_label=True, column="label"), QUICK)
    with pytest.raises(ManifestError, match="two groups"):
        train_adapter(embedded(1), LABELS, QUICK)


def test_a_machine_needs_rows_with_and_without_each_label() -> None:
    rows = embedded()
    without_c = rows.take([place for place, row in enumerate(rows.rows) if row.label != "c"])
    with pytest.raises(ManifestError, match="train rows with and without the label 'c'"):
        train_adapter(without_c, LABELS, replace(QUICK, kind="svm"), validation=rows)
