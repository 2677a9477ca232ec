"""How good scores are, under weights: the form that a bootstrap needs.

A bootstrap by patients draws each patient some number of times, which is the same as weighting that patient's rows. A
measure here sorts the scores once and then answers for any weights in linear time; scikit-learn, which sorts anew for
each draw, would need minutes for a thousand draws of ten thousand rows. With weights of one the values are those of
scikit-learn (the tests compare them). A subgroup is a measure whose other rows weigh nothing.

Every measure returns one value a label (or a single one) under each metric's name; NaN where it is not defined, as the
AUC of a label without positives. The mean over the labels that have a value is the macro average.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Values = dict[str, Floats]  # metric -> one value a label, or a single one

SPECIFICITIES = (0.9, 0.95)  # at which the sensitivity is reported
CALIBRATION_BINS = 15


def sensitivity_name(specificity: float) -> str:
    """The name of the metric "sensitivity at this specificity"."""
    return f"sensitivity_at_specificity_{specificity:g}"


class Rankings:
    """Labels' scores, sorted once: area under the curve, average precision, sensitivity at a specificity.

    Args:
        truth: (n, L), which labels are true.
        scores: (n, L), higher is likelier.
    """

    def __init__(self, truth: Flags, scores: Floats) -> None:
        self._order = np.argsort(-scores.T, axis=1, kind="stable")  # (L, n)
        ranked = np.take_along_axis(scores.T, self._order, axis=1)
        self._positive = np.take_along_axis(truth.T, self._order, axis=1).astype(np.int64)
        # Of each place, how many places are before its tie, and how many up to its tie's end.
        places = np.arange(ranked.shape[1])
        changes = ranked[:, 1:] != ranked[:, :-1]
        edge = np.ones((len(ranked), 1), dtype=np.bool_)
        begins, ends = np.hstack([edge, changes]), np.hstack([changes, edge])
        self._before = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
        last = np.where(ends, places, places[-1])
        self._through = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1] + 1

    def __call__(self, weights: Ints) -> Values:
        ranked = weights[self._order]
        hits = ranked * self._positive
        positives, called = _sums(hits), _sums(ranked)
        found = np.take_along_axis(positives, self._through, axis=1)  # at or above each place's score
        taken = np.take_along_axis(called, self._through, axis=1)
        above = np.take_along_axis(positives, self._before, axis=1)
        all_positives = positives[:, -1:].astype(np.float64)
        all_negatives = called[:, -1:] - all_positives
        all_positives[(all_positives == 0) | (all_negatives == 0)] = np.nan  # nothing is defined
        with np.errstate(divide="ignore", invalid="ignore"):
            area = ((ranked - hits) * (above + found)).sum(axis=1, keepdims=True) / (2 * all_positives * all_negatives)
            values = {"auc": area, "average_precision": (hits * (found / np.maximum(taken, 1))).sum(1, keepdims=True)}
            values["average_precision"] = values["average_precision"] / all_positives
            for specificity in SPECIFICITIES:
                allowed = taken - found <= (1 - specificity) * all_negatives + 1e-9
                most = np.where(allowed, found, 0).max(axis=1, keepdims=True)
                values[sensitivity_name(specificity)] = most / all_positives
        return {name: value[:, 0] for name, value in values.items()}


class ScoredLabels:
    """Classification: each row has scores for all labels, and the labels that are true of it.

    Args:
        truth: (n, L), which labels are true.
        scores: (n, L), higher is likelier.
        thresholds: (L,) above or at which a score is a yes; None means one label a row, the one that scores highest.
            NaN leaves a label without the metrics that need a decision.
    """

    def __init__(self, truth: Flags, scores: Floats, thresholds: Floats | None = None) -> None:
        self._rankings = Rankings(truth, scores)
        self._truth = truth.T.astype(np.int64)  # (L, n)
        if thresholds is None:
            called = np.zeros(truth.shape, dtype=np.bool_)
            called[np.arange(len(scores)), scores.argmax(axis=1)] = True
            self._undecided = np.zeros(truth.shape[1], dtype=np.bool_)
        else:
            called = scores >= thresholds
            self._undecided = np.isnan(thresholds)
        self._called = called.T.astype(np.int64)
        self._exclusive = thresholds is None

    def __call__(self, weights: Ints) -> Values:
        return self._rankings(weights) | self._decisions(weights)

    def _decisions(self, weights: Ints) -> Values:
        true = self._truth @ weights
        called = self._called @ weights
        hits = (self._truth * self._called) @ weights
        total = weights.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            sensitivity = hits / true
            specificity = 1 - (called - hits) / (total - true)
            f1 = np.where(true > 0, 2 * hits / (true + called), np.nan)  # it speaks of labels that occur
            values: Values = {"f1": f1, "specificity": specificity}
            if self._exclusive:
                values["balanced_accuracy"] = sensitivity  # whose mean over the labels it is
                values["accuracy"] = np.atleast_1d(hits.sum() / total)
            else:
                values |= {"sensitivity": sensitivity, "balanced_accuracy": (sensitivity + specificity) / 2}
        if self._undecided.any():
            return {name: np.where(self._undecided, np.nan, value) for name, value in values.items()}
        return values


class RowValues:
    """A value a row, averaged: a query's precision, or a prediction's error. NaN rows do not count."""

    def __init__(self, values: dict[str, Floats]) -> None:
        self._values = {name: np.nan_to_num(value) for name, value in values.items()}
        self._counts = {name: np.isfinite(value).astype(np.int64) for name, value in values.items()}

    def __call__(self, weights: Ints) -> Values:
        averages = {}
        for name, value in self._values.items():
            total = np.dot(weights, self._counts[name])
            averages[name] = np.atleast_1d(np.dot(weights, value) / total if total else np.nan)
        return averages


def _sums(ranked: Ints) -> Ints:
    """(L, n + 1): of the first none, one, two, ... places."""
    sums = np.zeros((len(ranked), ranked.shape[1] + 1), dtype=np.int64)
    np.cumsum(ranked, axis=1, out=sums[:, 1:])
    return sums


def macro(values: Floats) -> Floats:
    """The mean along the last axis over the labels that have a value; NaN if none has."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values, 0.0).sum(axis=-1) / known.sum(axis=-1)
    return mean


@dataclass(frozen=True)
class CalibrationBin:
    """Rows whose likeliest label has about the same probability: their mean probability, and how many are right."""

    rows: int
    confidence: float
    right: float


def calibration(truth: Flags, probabilities: Floats, bins: int = CALIBRATION_BINS) -> list[CalibrationBin]:
    """Equally wide bins of the likeliest label's probability, the empty ones left out (Guo et al. 2017).

    Args:
        truth: (n, L), one true label a row.
        probabilities: (n, L), rows sum to one.
        bins: how many.
    """
    chosen = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(chosen)), chosen]
    right = truth[np.arange(len(chosen)), chosen]
    numbers = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        CalibrationBin(int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean()))
        for inside in (numbers == number for number in range(bins))
        if inside.any()
    ]


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """How far probabilities are from shares, on average over rows: 0 is perfect."""
    return sum(part.rows * abs(part.confidence - part.right) for part in bins) / sum(part.rows for part in bins)
