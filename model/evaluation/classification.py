"""Scored labels of rows: their description with metrics and intervals, and the worst mistakes among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.evaluation.statistics.intervals import MACRO, MetricEstimate, metrics_json, number_json
from model.evaluation.statistics.metrics import (
    Flags,
    Floats,
    Ints,
    ScoredLabels,
    calibration,
    expected_calibration_error,
)

WORST_MISTAKES = 25


@dataclass(frozen=True)
class Classification:
    """Rows with their true labels and their scores.

    Attributes:
        labels: the L labels.
        truth: (n, L), the labels of each row.
        scores: (n, L), higher is likelier. With one label per row, the scores of a row are probabilities that sum to 1.
        thresholds: (L,), a row has a label if its score is at or above the threshold; NaN if a label has none.
            None if each row has exactly one label.
    """

    labels: tuple[str, ...]
    truth: Flags
    scores: Floats
    thresholds: Floats | None = None

    @property
    def measure(self) -> ScoredLabels:
        return ScoredLabels(self.truth, self.scores, self.thresholds)

    @property
    def predicted(self) -> Ints:
        """(n,), the number of each row's label with the highest score."""
        likeliest: Ints = self.scores.argmax(axis=1)
        return likeliest


def describe(task: Classification, found: Mapping[str, MetricEstimate]) -> dict[str, Any]:
    """JSON object with metrics, their intervals, and the metrics of each label.

    Args:
        task: the scored rows.
        found: the estimates of its measure.

    Returns:
        `metrics` and `labels`.
        With one label per row also the confusion matrix (true labels down, predicted labels across) and the
        calibration, otherwise the thresholds.
    """
    # With one label per row, the balanced accuracy is the mean of the labels' sensitivities.
    own_names = {"balanced_accuracy": "sensitivity"} if task.thresholds is None else {}
    report: dict[str, Any] = {
        "metrics": metrics_json(found, MACRO),
        "labels": {
            label: {"rows": int(task.truth[:, number].sum())}
            | {
                own_names.get(name, name): metric.labels[number].as_json()
                for name, metric in found.items()
                if len(metric.labels) > 1
            }
            for number, label in enumerate(task.labels)
        },
    }
    if task.thresholds is not None:
        report["thresholds"] = dict(zip(task.labels, map(number_json, task.thresholds), strict=True))
        return report
    matrix = np.zeros((len(task.labels), len(task.labels)), dtype=int)
    np.add.at(matrix, (task.truth.argmax(axis=1), task.predicted), 1)
    report["confusion"] = matrix.tolist()
    bins = calibration(task.truth, task.scores)
    error = expected_calibration_error(bins)
    report["calibration"] = {"expected_calibration_error": error, "bins": [vars(part) for part in bins]}
    return report


def worst_mistakes(
    task: Classification, row_numbers: Sequence[int], count: int = WORST_MISTAKES
) -> list[dict[str, Any]]:
    """The mistakes with the highest score, or, with several labels per row, with the widest margin to the threshold.

    Args:
        task: the scored rows.
        row_numbers: (n,), the rows' numbers in the manifest.
        count: largest number of mistakes to return.
    """
    if task.thresholds is None:
        return _by_score(task, row_numbers, count)
    return _by_margin(task, task.thresholds, row_numbers, count)


def _by_score(task: Classification, row_numbers: Sequence[int], count: int) -> list[dict[str, Any]]:
    score = task.scores.max(axis=1)
    wrong = ~task.truth[np.arange(len(score)), task.predicted]
    order = [row for row in np.argsort(-score, kind="stable") if wrong[row]][:count]
    return [
        {
            "row": row_numbers[row],
            "label": task.labels[int(task.truth[row].argmax())],
            "called": task.labels[int(task.predicted[row])],
            "score": float(score[row]),
            "score_of_label": float(task.scores[row, task.truth[row].argmax()]),
        }
        for row in order
    ]


def _by_margin(
    task: Classification, thresholds: Floats, row_numbers: Sequence[int], count: int
) -> list[dict[str, Any]]:
    margins = np.where(task.truth, thresholds - task.scores, task.scores - thresholds)
    margins = np.nan_to_num(margins, nan=-1.0)
    worst = [divmod(int(place), len(task.labels)) for place in np.argsort(-margins, axis=None, kind="stable")[:count]]
    return [
        {
            "row": row_numbers[row],
            "label": task.labels[column],
            "called": "absent" if task.truth[row, column] else "present",
            "score": float(task.scores[row, column]),
            "threshold": float(thresholds[column]),
        }
        for row, column in worst
        if margins[row, column] > 0 or (margins[row, column] == 0 and not task.truth[row, column])
    ]
