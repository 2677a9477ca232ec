"""The summary of a trained head: a table with one line per label, two sentences for a regression, or JSON."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from app.cli.summaries.adapter_summary import show
from model.heads.head import Head, Kind
from model.heads.scorers.scorer import Activation, Scorer

POINT = {"threshold": 0.4, "sensitivity": 0.75, "specificity": 0.9}
CLASSIFIER: dict[str, Any] = {
    "rows": 90,
    "validation_rows": 20,
    "per_label": {
        "pneumonia": {"rows": 60, "validation_rows": 20, "auc": 0.8125},
        "effusion": {"rows": 30, "validation_rows": 0, "auc": None},
    },
}


def shown(
    capsys: pytest.CaptureFixture[str],
    activation: Activation,
    details: dict[str, Any],
    *,
    kind: Kind = "linear",
    as_json: bool = False,
) -> tuple[str, str]:
    """What is printed to stdout and stderr about a head with these details; its weights are not looked at."""
    labels = tuple(details.get("per_label", ("age",)))
    thresholds = {label: {"youden": POINT if label == "pneumonia" else None} for label in labels}
    scorer = cast(Scorer, None)
    show(
        Head(kind, labels, activation, scorer, {}, thresholds=thresholds, details=details),
        Path("head"),
        as_json=as_json,
    )
    printed = capsys.readouterr()
    return printed.out, printed.err


def test_each_label_is_a_line_and_what_is_not_defined_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(capsys, "sigmoid", CLASSIFIER)
    assert out == (
        "label      rows  validation rows    AUC  sensitivity  specificity\n"
        "pneumonia    60               20  0.812        0.750        0.900\n"
        "effusion     30                0      -            -            -\n"
        "trained on 90 rows; measured on 20 validation rows\n"
        "these rows also ended the training and chose the thresholds (Youden's J): expect less on new rows\n"
    )
    assert err == "head: linear head with 2 labels\n"


def test_the_validation_rows_calibrate_a_support_vector_machine_and_do_not_end_its_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, _ = shown(capsys, "sigmoid", CLASSIFIER, kind="svm")
    assert out.endswith(
        "\nthese rows also calibrated the scores and chose the thresholds (Youden's J): expect less on new rows\n"
    )


def test_with_one_label_per_row_the_accuracy_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = shown(capsys, "softmax", CLASSIFIER | {"accuracy": 0.85, "balanced_accuracy": 0.7})
    assert "\naccuracy 0.850, balanced accuracy 0.700\n" in out


def test_a_regression_has_its_error_beside_that_of_the_median(capsys: pytest.CaptureFixture[str]) -> None:
    details = {
        "rows": 90,
        "validation_rows": 20,
        "mean_absolute_error": {"value": 5.25, "interval": [4, 6.5]},
        "mean_absolute_error_of_the_median": {"value": 12, "interval": [None, None]},
    }
    out, err = shown(capsys, "identity", details)
    assert out == (
        "mean absolute error 5.250 [4.000, 6.500]\n"
        "mean absolute error of always answering the median 12.000\n"
        "trained on 90 rows; measured on 20 validation rows\n"
    )
    assert err == "head: linear head that predicts age\n"


def test_json_has_all_details(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = shown(capsys, "sigmoid", CLASSIFIER, as_json=True)
    assert json.loads(out) == {"kind": "linear", "labels": ["pneumonia", "effusion"], **CLASSIFIER}


def test_a_label_cannot_write_codes_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = shown(capsys, "sigmoid", CLASSIFIER | {"per_label": {"\x1b[2J": CLASSIFIER["per_label"]["effusion"]}})
    assert "\x1b" not in out
