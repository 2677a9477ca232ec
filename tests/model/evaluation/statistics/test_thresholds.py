"""Thresholds against values computed by hand."""

import numpy as np

from model.evaluation.statistics.thresholds import Threshold, sensitivity_threshold, youden_threshold

POSITIVE = np.array([True] * 10 + [False] * 5)
SCORES = np.array([0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.3, 0.1, 0.5, 0.4, 0.35, 0.2, 0.05])


def test_youden_takes_the_largest_sum() -> None:
    """At 0.6: 8 of 10 positives and no negative."""
    assert youden_threshold(POSITIVE, SCORES) == Threshold(0.6, 0.8, 1.0)


def test_90_percent_sensitivity_takes_the_highest_threshold_that_has_it() -> None:
    """The ninth positive is at 0.3, below three of the five negatives."""
    found = sensitivity_threshold(POSITIVE, SCORES)
    assert found is not None
    assert (found.threshold, found.sensitivity) == (0.3, 0.9)
    assert np.isclose(found.specificity, 0.4)


def test_one_class_has_no_threshold() -> None:
    assert youden_threshold(np.array([True, True]), np.array([0.1, 0.2])) is None
    assert sensitivity_threshold(np.array([False]), np.array([0.1])) is None
