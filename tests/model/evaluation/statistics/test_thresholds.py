"""Thresholds against values computed by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.evaluation.statistics.metrics import Flags, Floats
from model.evaluation.statistics.thresholds import Threshold, sensitivity_threshold, youden_threshold

POSITIVE = np.array([True] * 10 + [False] * 5)
SCORES = np.array([0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.3, 0.1, 0.5, 0.4, 0.35, 0.2, 0.05])


def test_youden_takes_the_largest_sum() -> None:
    """Between 0.6 and 0.5: 8 of 10 positives and no negative."""
    assert youden_threshold(POSITIVE, SCORES) == Threshold(0.55, 0.8, 1.0)


def test_90_percent_sensitivity_takes_the_highest_threshold_that_has_it() -> None:
    """The ninth positive is at 0.3, below three of the five negatives; the next lower score is 0.2."""
    found = sensitivity_threshold(POSITIVE, SCORES)
    assert found is not None
    assert (found.threshold, found.sensitivity) == (0.25, 0.9)
    assert np.isclose(found.specificity, 0.4)


def test_a_threshold_below_all_scores_lies_half_a_step_below_the_lowest() -> None:
    """The worst possible scores: it is best to call all rows positive."""
    worst = youden_threshold(np.array([True, False]), np.array([0.25, 0.75]))
    assert worst == Threshold(0.0, 1.0, 0.0)


def test_one_class_has_no_threshold() -> None:
    assert youden_threshold(np.array([True, True]), np.array([0.1, 0.2])) is None
    assert sensitivity_threshold(np.array([False]), np.array([0.1])) is None


def test_equal_scores_have_no_threshold() -> None:
    assert youden_threshold(np.array([True, False]), np.array([0.1, 0.1])) is None
    assert sensitivity_threshold(np.array([True, False]), np.array([0.1, 0.1])) is None


def test_nothing_lies_between_neighbouring_numbers() -> None:
    low, high = 0.5, np.nextafter(0.5, 1)
    assert youden_threshold(np.array([False, True]), np.array([low, high])) == Threshold(high, 1.0, 1.0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-50, 50)), min_size=2, max_size=40), st.integers(0, 2**32 - 1))
def test_a_tiny_change_of_the_scores_changes_no_decision(rows: list[tuple[bool, int]], seed: int) -> None:
    positive: Flags = np.array([is_positive for is_positive, _ in rows])
    scores: Floats = np.array([score / 50 for _, score in rows])
    changed = scores * (1 + np.random.default_rng(seed).uniform(-1e-9, 1e-9, len(scores)))
    for choose in (youden_threshold, sensitivity_threshold):
        found = choose(positive, scores)
        if found is None:
            assert positive.all() or not positive.any() or len(set(scores)) == 1
            continue
        decisions = scores >= found.threshold
        assert (decisions == (changed >= found.threshold)).all()
        assert decisions[positive].mean() == pytest.approx(found.sensitivity)
        assert (~decisions)[~positive].mean() == pytest.approx(found.specificity)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=30))
def test_no_other_threshold_is_better(rows: list[tuple[bool, float]]) -> None:
    positive, scores = np.array([is_positive for is_positive, _ in rows]), np.array([score for _, score in rows])
    youden, sensitive = youden_threshold(positive, scores), sensitivity_threshold(positive, scores)
    if youden is None or sensitive is None:
        return
    for threshold in scores:
        decisions = scores >= threshold
        sensitivity, specificity = decisions[positive].mean(), (~decisions)[~positive].mean()
        assert sensitivity + specificity <= youden.sensitivity + youden.specificity + 1e-9
        assert sensitivity < 0.9 - 1e-9 or specificity <= sensitive.specificity + 1e-9
