"""Metrics of scores under row weights, for the bootstrap.

A bootstrap over patients gives the rows of each patient a random weight. A row of weight 2 counts as two equal rows.
A measure in this module sorts the scores once; then each call with weights takes linear time.
scikit-learn sorts for each call: a thousand draws of ten thousand rows would take minutes. The tests compare the values
with those of scikit-learn under the same weights. The metrics of a subgroup are those with weight 0 for all other rows.

Every measure returns, for each metric, an array with one value per label, or with a single value. A value is NaN where
it is not defined, such as the AUC of a label without positives. The macro average is the mean over the labels that have
a value.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Values = dict[str, Floats]  # metric -> (L,) one value per label, or (1,)

SPECIFICITIES = (0.9, 0.95)  # the sensitivity is reported at these
CALIBRATION_BINS = 15


class Measure(Protocol):
    """Metrics as a function of row weights, (n,), 0 or more.

    Attributes:
        truth: (n, L), the labels of each row that the values are about; (n, 0) for measures without labels.
        most: largest possible value of the metrics; the smallest is 0.
        yes_or_no: the metrics that are 0 or 1 for a label.
    """

    truth: Flags
    most: float
    yes_or_no: Collection[str]

    def __call__(self, weights: Floats) -> Values: ...


def sensitivity_name(specificity: float) -> str:
    """Name of the metric "sensitivity at this specificity"."""
    return f"sensitivity_at_specificity_{specificity:g}"


class Rankings:
    """Measure of ranked scores: area under the ROC curve, average precision, sensitivity at given specificities.

    Args:
        truth: (n, L), the labels of each row.
        scores: (n, L), higher is likelier.
    """

    def __init__(self, truth: Flags, scores: Floats) -> None:
        self._order = np.argsort(-scores.T, axis=1, kind="stable")  # (L, n)
        ranked = np.take_along_axis(scores.T, self._order, axis=1)
        self._positive = np.take_along_axis(truth.T, self._order, axis=1).astype(np.float64)
        # For each place in the ranking: the number of places before its tie, and up to the end of its tie.
        places = np.arange(ranked.shape[1])
        changes = ranked[:, 1:] != ranked[:, :-1]
        edge = np.ones((len(ranked), 1), dtype=np.bool_)
        begins, ends = np.hstack([edge, changes]), np.hstack([changes, edge])
        self._before = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
        last = np.where(ends, places, places[-1])
        self._through = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1] + 1

    def __call__(self, weights: Floats) -> Values:
        ranked = weights[self._order]
        hits = ranked * self._positive
        misses = ranked - hits
        positives, negatives = _sums(hits), _sums(misses)
        found = np.take_along_axis(positives, self._through, axis=1)  # positives at or above each place's score
        false = np.take_along_axis(negatives, self._through, axis=1)  # negatives at or above each place's score
        above = np.take_along_axis(positives, self._before, axis=1)
        all_positives, all_negatives = positives[:, -1:].copy(), negatives[:, -1:]
        all_positives[(all_positives == 0) | (all_negatives == 0)] = np.nan  # no metric is defined
        with np.errstate(divide="ignore", invalid="ignore"):
            area = (misses * (above + found)).sum(axis=1, keepdims=True) / (2 * all_positives * all_negatives)
            precision = np.where(found > 0, found / (found + false), 0)
            average = (hits * precision).sum(axis=1, keepdims=True) / all_positives
            values = {"auc": area, "average_precision": average}
            for specificity in SPECIFICITIES:
                allowed = false <= (1 - specificity) * all_negatives + 1e-9
                most = np.where(allowed, found, 0).max(axis=1, keepdims=True)
                values[sensitivity_name(specificity)] = most / all_positives
        return {name: value[:, 0] for name, value in values.items()}


class ScoredLabels:
    """Measure of a classification: the metrics of `Rankings`, and those of the predicted labels.

    Args:
        truth: (n, L), the labels of each row.
        scores: (n, L), higher is likelier.
        thresholds: (L,), a label is predicted if its score is at or above the threshold; NaN leaves the label without
            the metrics of predictions. None: each row has one label, and the highest score is the prediction.
    """

    most = 1.0
    yes_or_no: Collection[str] = ()

    def __init__(self, truth: Flags, scores: Floats, thresholds: Floats | None = None) -> None:
        self.truth = truth
        self._rankings = Rankings(truth, scores)
        self._true = truth.T.astype(np.float64)  # (L, n)
        if thresholds is None:
            predicted = np.zeros(truth.shape, dtype=np.bool_)
            predicted[np.arange(len(scores)), scores.argmax(axis=1)] = True
            self._undecided = np.zeros(truth.shape[1], dtype=np.bool_)
        else:
            predicted = scores >= thresholds
            self._undecided = np.isnan(thresholds)
        self._false_alarm = (predicted & ~truth).T.astype(np.float64)
        self._hit = (predicted & truth).T.astype(np.float64)
        self._one_label = thresholds is None

    def __call__(self, weights: Floats) -> Values:
        return self._rankings(weights) | self._decisions(weights)

    def _decisions(self, weights: Floats) -> Values:
        true, false = self._true @ weights, (1 - self._true) @ weights
        hits, false_alarms = self._hit @ weights, self._false_alarm @ weights
        with np.errstate(divide="ignore", invalid="ignore"):
            sensitivity = np.minimum(hits / true, 1)  # 1 + 2e-16 by rounding
            specificity = np.maximum(1 - false_alarms / false, 0)
            f1 = np.where(true > 0, 2 * hits / (true + hits + false_alarms), np.nan)  # NaN for labels without rows
            values: Values = {"f1": f1, "specificity": specificity}
            if self._one_label:
                values["balanced_accuracy"] = sensitivity  # its mean over the labels is the balanced accuracy
                values["accuracy"] = np.atleast_1d(np.minimum(hits.sum() / weights.sum(), 1))
            else:
                values |= {"sensitivity": sensitivity, "balanced_accuracy": (sensitivity + specificity) / 2}
        if self._undecided.any():
            return {name: np.where(self._undecided, np.nan, value) for name, value in values.items()}
        return values


class RowValues:
    """Measure of one value per row, such as the precision of a query: the weighted mean. NaN values do not count.

    Args:
        values: metric -> (n,), 0 or more.
        most: largest possible value; default 1.
    """

    yes_or_no: Collection[str] = ()

    def __init__(self, values: dict[str, Floats], most: float = 1.0) -> None:
        self.most = most
        self.truth = np.zeros((len(next(iter(values.values()))), 0), dtype=np.bool_)
        self._values = {name: np.nan_to_num(value) for name, value in values.items()}
        self._counts = {name: np.isfinite(value).astype(np.float64) for name, value in values.items()}

    def __call__(self, weights: Floats) -> Values:
        averages = {}
        for name, value in self._values.items():
            total = np.dot(weights, self._counts[name])
            averages[name] = np.atleast_1d(np.dot(weights, value) / total if total else np.nan)
        return averages


def _sums(ranked: Floats) -> Floats:
    """(L, n + 1), the sums of the first 0, 1, 2, ... places."""
    sums = np.zeros((len(ranked), ranked.shape[1] + 1))
    np.cumsum(ranked, axis=1, out=sums[:, 1:])
    return sums


def macro(values: Floats) -> Floats:
    """The mean along the last axis over the labels that have a value; NaN if no label has."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(defined, values, 0.0).sum(axis=-1) / defined.sum(axis=-1)
    return mean


@dataclass(frozen=True)
class CalibrationBin:
    """Rows whose likeliest label has about the same probability.

    Attributes:
        rows: number of rows.
        confidence: mean probability of the likeliest label.
        right: share of rows that have the likeliest label, 0 to 1.
    """

    rows: int
    confidence: float
    right: float


def calibration(truth: Flags, probabilities: Floats, bins: int = CALIBRATION_BINS) -> list[CalibrationBin]:
    """Bins of equal width over the likeliest label's probability, without the empty ones (Guo et al. 2017).

    Args:
        truth: (n, L), one true label per row.
        probabilities: (n, L), rows sum to 1.
        bins: number of bins between 0 and 1.
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
    """Mean over the rows of the difference between a bin's mean probability and its share of right rows; 0 is best."""
    return sum(part.rows * abs(part.confidence - part.right) for part in bins) / sum(part.rows for part in bins)
