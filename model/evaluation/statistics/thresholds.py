"""Thresholds of scores, chosen by their sensitivity and specificity."""

from dataclasses import dataclass

import numpy as np

from model.evaluation.statistics.metrics import Flags, Floats
from model.optional_dependencies import extra


@dataclass(frozen=True)
class Threshold:
    """A threshold, with its sensitivity and specificity on the rows that it was chosen on.

    A score at or above the threshold is positive. The threshold lies midway between the lowest score that is positive
    and the next lower one. So the decision on a row stays the same when its score is computed again and rounded
    differently. If all rows are positive, the threshold is as far below the lowest score as it would be above it.
    """

    threshold: float
    sensitivity: float
    specificity: float


def youden_threshold(positive: Flags, scores: Floats) -> Threshold | None:
    """The threshold with the largest sensitivity + specificity - 1 (Youden 1950).

    Args:
        positive: (n,), True for positive rows.
        scores: (n,), higher is likelier.

    Returns:
        None if all rows are positive, none is, or all scores are equal.
    """
    if not _separable(positive, scores):
        return None
    false_rate, true_rate, thresholds = _curve(positive, scores)
    return _at(int(np.argmax(true_rate - false_rate)), false_rate, true_rate, thresholds)


def sensitivity_threshold(positive: Flags, scores: Floats, sensitivity: float = 0.9) -> Threshold | None:
    """The highest threshold with at least this sensitivity.

    Args:
        positive: (n,), True for positive rows.
        scores: (n,), higher is likelier.
        sensitivity: 0 to 1.

    Returns:
        None if all rows are positive, none is, or all scores are equal.
    """
    if not _separable(positive, scores):
        return None
    false_rate, true_rate, thresholds = _curve(positive, scores)
    return _at(int(np.argmax(true_rate >= sensitivity - 1e-9)), false_rate, true_rate, thresholds)


def _separable(positive: Flags, scores: Floats) -> bool:
    return bool(positive.any() and not positive.all() and (scores != scores[0]).any())


def _curve(positive: Flags, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """False-positive rate, true-positive rate and threshold, one each per distinct score, from the highest score on."""
    curve = extra("sklearn.metrics").roc_curve(positive, scores, drop_intermediate=False)
    # The first threshold is infinity.
    false_rate, true_rate, lowest_positive = (np.asarray(values[1:], dtype=np.float64) for values in curve)
    return false_rate, true_rate, _midway(lowest_positive)


def _midway(scores: Floats) -> Floats:
    """The thresholds below each of at least two distinct scores, which descend."""
    next_lower = np.append(scores[1:], 2 * scores[-1] - scores[-2])
    midway = next_lower + (scores - next_lower) / 2
    return np.where(midway > next_lower, midway, scores)  # neighbouring floating-point numbers have nothing in between


def _at(place: int, false_rate: Floats, true_rate: Floats, thresholds: Floats) -> Threshold:
    return Threshold(float(thresholds[place]), float(true_rate[place]), float(1 - false_rate[place]))
