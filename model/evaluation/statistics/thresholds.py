"""Thresholds of scores, chosen by their sensitivity and specificity."""

from dataclasses import dataclass

import numpy as np

from model.evaluation.statistics.metrics import Flags, Floats
from model.optional_dependencies import extra


@dataclass(frozen=True)
class Threshold:
    """A threshold, with its sensitivity and specificity on the rows that it was chosen on.

    A score at or above the threshold is positive.
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
        None if all rows are positive or none is.
    """
    if positive.all() or not positive.any():
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
        None if all rows are positive or none is.
    """
    if positive.all() or not positive.any():
        return None
    false_rate, true_rate, thresholds = _curve(positive, scores)
    return _at(int(np.argmax(true_rate >= sensitivity - 1e-9)), false_rate, true_rate, thresholds)


def _curve(positive: Flags, scores: Floats) -> tuple[Floats, Floats, Floats]:
    false_rate, true_rate, thresholds = extra("sklearn.metrics").roc_curve(positive, scores, drop_intermediate=False)
    return false_rate[1:], true_rate[1:], thresholds[1:]  # the first threshold is infinity


def _at(place: int, false_rate: Floats, true_rate: Floats, thresholds: Floats) -> Threshold:
    return Threshold(float(thresholds[place]), float(true_rate[place]), float(1 - false_rate[place]))
