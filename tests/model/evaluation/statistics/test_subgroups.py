"""Subgroups from a column, and their comparison with all other rows."""

import numpy as np
import pytest

from model.errors import ManifestError
from model.evaluation.statistics.bootstrap import Resampling
from model.evaluation.statistics.metrics import RowValues, ScoredLabels
from model.evaluation.statistics.subgroups import MISSING, describe_parts, parts_of


def test_one_subgroup_per_value() -> None:
    parts = parts_of("sex", ["f", "m", "", "f"])
    assert {name: rows.tolist() for name, rows in parts.items()} == {
        MISSING: [False, False, True, False],
        "f": [True, False, False, True],
        "m": [False, True, False, False],
    }


def test_many_numbers_become_four_bands() -> None:
    parts = parts_of("age", [*map(str, range(1, 41)), ""])
    assert list(parts) == ["up to 10.75", "above 10.75, up to 20.5", "above 20.5, up to 30.25", "above 30.25", MISSING]
    assert [int(rows.sum()) for rows in parts.values()] == [10, 10, 10, 10, 1]


def test_many_words_are_refused() -> None:
    with pytest.raises(ManifestError, match="31 different values"):
        parts_of("name", [f"patient {number}" for number in range(31)])


def test_a_difference_is_to_all_other_rows_with_an_interval() -> None:
    errors = np.array([1.0] * 20 + [3.0] * 40)
    left = np.arange(60) < 20
    found = describe_parts(RowValues({"error": errors}), {"left": left, "right": ~left}, Resampling([None] * 60, 100))
    error = found["left"]["metrics"]["error"]
    assert found["left"]["rows"] == 20
    assert error["value"] == 1
    assert error["difference"] == {"value": -2, "interval": [-2, -2]}
    assert found["right"]["metrics"]["error"]["difference"]["value"] == 2


def test_a_difference_is_over_the_labels_that_both_parts_have() -> None:
    """Label 0 is always right, and label 1 never; the left part has only label 0. Over label 0 the parts are equal."""
    truth = np.eye(2, dtype=bool)[[0] * 10 + [0] * 10 + [1] * 10]
    scores = np.tile([1.0, 0.0], (30, 1))
    left = np.arange(30) < 10
    found = describe_parts(ScoredLabels(truth, scores), {"left": left}, Resampling([None] * 30, 20))
    accuracy = found["left"]["metrics"]["balanced_accuracy"]
    assert accuracy["value"] == 1
    assert accuracy["difference"]["value"] == 0


def test_labels_of_few_rows_are_left_out() -> None:
    """Label 1 has nine rows in the left part, all of them wrong; only label 0 counts there."""
    truth = np.eye(2, dtype=bool)[[0] * 20 + [1] * 9 + [0] * 10 + [1] * 10]
    scores = np.tile([1.0, 0.0], (49, 1))
    parts = {"left": np.arange(49) < 29, "right": np.arange(49) >= 29}
    found = describe_parts(ScoredLabels(truth, scores), parts, Resampling([None] * 49, 20))
    values = {name: part["metrics"]["balanced_accuracy"] for name, part in found.items()}
    assert (values["left"]["value"], values["left"]["labels"]) == (1, 1)
    assert (values["right"]["value"], values["right"]["labels"]) == (0.5, 2)
    assert values["right"]["difference"]["value"] == 0


def test_a_tiny_subgroup_has_counts_and_no_metrics() -> None:
    few = np.arange(30) < 9
    found = describe_parts(RowValues({"error": np.ones(30)}), {"few": few}, Resampling([None] * 30, 5))
    assert found["few"] == {"rows": 9, "groups": 9, "note": "fewer than 10 rows"}
