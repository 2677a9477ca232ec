"""Heads that predict a number: what they learn, and the error that they state."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data.manifest import Row
from model.errors import ManifestError
from model.evaluation.probes import ridge_predictions
from model.evaluation.rows import EmbeddedRows
from model.evaluation.tasks import target_values
from model.heads.head_folder import load_head, save_head
from model.heads.options import AdapterKind, AdapterOptions
from model.heads.regression_training import train_regression
from tests.model.heads.embedded_rows import aged

QUICK = AdapterOptions(epochs=60, hidden=16, learning_rate=0.05)
VALIDATION = aged(80, seed=1)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_it_learns_a_number_and_states_its_error(tmp_path: Path, kind: AdapterKind) -> None:
    head = train_regression(aged(), "age", replace(QUICK, kind=kind), validation=VALIDATION)
    assert (head.kind, head.labels, head.activation, head.is_regression) == (kind, ("age",), "identity", True)
    predicted = head.scores(VALIDATION.features)[:, 0]
    error = np.abs(predicted - target_values(VALIDATION, "age")).mean()
    stated, naive = head.details["mean_absolute_error"], head.details["mean_absolute_error_of_the_median"]
    assert stated["value"] == pytest.approx(error)
    assert stated["interval"][0] < error < stated["interval"][1] < 20 < naive["value"]
    save_head(head, tmp_path)
    assert (load_head(tmp_path).scores(VALIDATION.features)[:, 0] == predicted).all()
    assert load_head(tmp_path).details == head.details


def test_the_ridge_is_that_of_the_evaluation() -> None:
    head = train_regression(aged(), "age", QUICK, validation=VALIDATION)
    expected = ridge_predictions(aged().features, target_values(aged(), "age"), VALIDATION.features)
    assert head.scores(VALIDATION.features)[:, 0] == pytest.approx(expected, abs=1e-3)
    assert head.details["ridge_penalty"] in (0.1, 1, 10, 100)
    assert head.details.keys() & {"epochs", "hidden", "kernel"} == set()


def test_the_interval_is_over_groups() -> None:
    """Rows of one patient say the same: ten patients with eight equal rows each have a wider interval."""

    def stated(patients: int) -> list[float]:
        grouped = [replace(row, columns={**row.columns, "group": f"p{n % patients}"}) for n, row in enumerate(rows)]
        head = train_regression(aged(), "age", QUICK, validation=replace(repeated, rows=grouped))
        low, high = head.details["mean_absolute_error"]["interval"]
        return [low, high]

    repeated = VALIDATION.take(list(range(10)) * 8)
    rows: list[Row] = repeated.rows
    (low, high), (narrow_low, narrow_high) = stated(10), stated(80)
    assert high - low > 2 * (narrow_high - narrow_low)


def test_without_validation_rows_a_fifth_of_the_groups_is_held_out() -> None:
    details = train_regression(aged(), "age", QUICK).details
    assert (details["rows"], details["validation_rows"]) == (96, 24)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_unit_of_the_number_changes_nothing_else(kind: AdapterKind) -> None:
    def in_days(rows: EmbeddedRows) -> EmbeddedRows:
        days = [replace(row, columns={"age": str(float(row.columns["age"]) * 30 + 7e4)}) for row in rows.rows]
        return replace(rows, rows=days)

    options = replace(QUICK, kind=kind, epochs=5)
    months = train_regression(aged(), "age", options, validation=VALIDATION).scores(VALIDATION.features)
    days = train_regression(in_days(aged()), "age", options, validation=in_days(VALIDATION)).scores(VALIDATION.features)
    assert days == pytest.approx(months * 30 + 7e4, abs=1)


@pytest.mark.parametrize(
    ("ages", "options", "sentence"),
    [
        (["7"] * 6, QUICK, "at least two different numbers in the column age"),
        (["1e99", "2e99"] * 3, QUICK, "the column age are too large"),
        (["1", "2"] * 3, replace(QUICK, kind="svm"), "predicts labels, not numbers"),
        (["1"], QUICK, "two groups"),
    ],
    ids=["equal numbers", "huge numbers", "a support vector machine", "one row"],
)
def test_what_cannot_be_learnt_is_refused(ages: list[str], options: AdapterOptions, sentence: str) -> None:
    rows = aged(len(ages))
    labelled = [replace(row, columns={"age": age}) for row, age in zip(rows.rows, ages, strict=True)]
    with pytest.raises(ManifestError, match=sentence):
        train_regression(replace(rows, rows=labelled), "age", options)
