"""Metrics against values computed by hand, and against scikit-learn under weights."""

import numpy as np
import pytest
import sklearn.metrics as sk

from model.evaluation.statistics.metrics import (
    Rankings,
    RowValues,
    ScoredLabels,
    calibration,
    expected_calibration_error,
    macro,
)


def ranking(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """The metrics of one label."""
    values = Rankings(positive[:, None], scores[:, None])(weights)
    return {name: float(value[0]) for name, value in values.items()}


ONES = np.ones(5, dtype=np.int64)


def test_area_by_hand() -> None:
    """Positives 0.9, 0.5, 0.2 and negatives 0.5, 0.1: four of six pairs are in the right order, and one is a tie."""
    positive, scores = np.array([True, True, True, False, False]), np.array([0.9, 0.5, 0.2, 0.5, 0.1])
    assert ranking(positive, scores, ONES)["auc"] == pytest.approx(4.5 / 6)


def test_sensitivity_at_specificity_by_hand() -> None:
    """Negatives at 0 to 9: specificity 0.9 allows the one at 9, so positives from 8.5 are found; 0.95 allows none."""
    scores = np.array([*range(10), 9.5, 8.5, 5.5, 0.5], dtype=float)
    values = ranking(np.arange(14) >= 10, scores, np.ones(14, dtype=np.int64))
    assert values["sensitivity_at_specificity_0.9"] == 0.5
    assert values["sensitivity_at_specificity_0.95"] == 0.25


@pytest.mark.parametrize("seed", range(5))
def test_rankings_are_scikit_learns_under_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive, scores = rng.random(80) < 0.3, rng.integers(0, 12, 80) / 12  # many ties
    weights = rng.integers(0, 4, 80)
    values = ranking(positive, scores, weights)
    assert values["auc"] == pytest.approx(sk.roc_auc_score(positive, scores, sample_weight=weights))
    expected = sk.average_precision_score(positive, scores, sample_weight=weights)
    assert values["average_precision"] == pytest.approx(expected)
    false_rate, true_rate, _ = sk.roc_curve(positive, scores, sample_weight=weights, drop_intermediate=False)
    assert values["sensitivity_at_specificity_0.9"] == pytest.approx(true_rate[false_rate <= 0.1 + 1e-9].max())


@pytest.mark.parametrize("seed", range(3))
def test_decisions_are_scikit_learns_under_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, scores, weights = rng.integers(0, 4, 90), rng.random((90, 4)), rng.integers(0, 3, 90).astype(float)
    values = ScoredLabels(np.eye(4, dtype=bool)[true], scores)(weights)
    predicted = scores.argmax(axis=1)
    expected = sk.balanced_accuracy_score(true, predicted, sample_weight=weights)
    assert macro(values["balanced_accuracy"]) == pytest.approx(expected)
    assert macro(values["f1"]) == pytest.approx(sk.f1_score(true, predicted, average="macro", sample_weight=weights))
    assert macro(values["accuracy"]) == pytest.approx(sk.accuracy_score(true, predicted, sample_weight=weights))


def test_several_labels_per_row_by_hand() -> None:
    truth = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], dtype=bool)
    scores = np.array([[0.9, 0.1], [0.4, 0.8], [0.6, 0.7], [0.2, 0.9]])
    values = ScoredLabels(truth, scores, np.array([0.5, 0.5]))(np.ones(4, dtype=np.int64))
    assert values["sensitivity"].tolist() == [0.5, 1.0]
    assert values["specificity"].tolist() == [0.5, 0.5]
    assert values["balanced_accuracy"].tolist() == [0.5, 0.75]
    assert values["f1"] == pytest.approx([0.5, 0.8])


def test_a_label_without_threshold_has_no_decisions_but_an_area() -> None:
    truth = np.array([[1, 0], [0, 1]], dtype=bool)
    values = ScoredLabels(truth, truth.astype(float), np.array([0.5, np.nan]))(np.ones(2, dtype=np.int64))
    assert values["auc"].tolist() == [1, 1]
    assert np.isnan(values["f1"]).tolist() == [False, True]


def test_a_label_that_weighs_nothing_is_undefined_and_left_out_of_the_macro_average() -> None:
    truth = np.eye(3, dtype=bool)[[0, 0, 1, 2]]
    values = ScoredLabels(truth, truth.astype(float))(np.array([1, 1, 1, 0]))
    assert np.isnan(values["auc"]).tolist() == [False, False, True]
    assert macro(values["auc"]) == 1
    assert np.isnan(macro(np.array([np.nan])))


def test_row_values_average_under_weights_and_skip_undefined_values() -> None:
    measure = RowValues({"error": np.array([1.0, 3.0, np.nan])})
    assert measure(np.array([1, 3, 5]))["error"] == pytest.approx([2.5])
    assert np.isnan(measure(np.array([0, 0, 1]))["error"])


def test_calibration_by_hand() -> None:
    """Two rows at 0.9, one of them right, and two at 0.6, both right: the error is (0.4 + 0.4) / 2."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.6, 0.4]])
    bins = calibration(np.eye(2, dtype=bool)[[0, 1, 1, 0]], probabilities)
    assert [(part.rows, part.right) for part in bins] == [(2, 1.0), (2, 0.5)]
    assert expected_calibration_error(bins) == pytest.approx(0.4)
