"""Scores for labels out of embeddings: zero-shot, by neighbours, by a linear probe; and what is said of such scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evaluation.statistics.bootstrap import MACRO, Resampling, metrics_json, number_json
from model.evaluation.statistics.metrics import (
    Flags,
    Floats,
    Ints,
    ScoredLabels,
    calibration,
    expected_calibration_error,
)

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Classification:
    """Rows with their true labels and their scores.

    `thresholds` is None where each row has exactly one label; otherwise a score at or above its label's threshold is
    a yes, and NaN stands for "no threshold is known".
    """

    labels: tuple[str, ...]
    truth: Flags  # (n, L)
    scores: Floats  # (n, L); with one label a row, probabilities that sum to one
    thresholds: Floats | None = None  # (L,)

    @property
    def measure(self) -> ScoredLabels:
        return ScoredLabels(self.truth, self.scores, self.thresholds)

    @property
    def called(self) -> Ints:
        """(n,) the label that scores highest."""
        likeliest: Ints = self.scores.argmax(axis=1)
        return likeliest


def softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def zero_shot_scores(
    image_features: Features, present: Features, absent: Features | None, logit_scale: float, *, one_label: bool
) -> Floats:
    """Scores (n, L) of images for labels by their prompts' embeddings.

    Args:
        image_features: (n, D), unit norm.
        present: (L, D), unit norm, of the prompts that say the label.
        absent: (L, D) of those that say its absence; None if there are none.
        logit_scale: the model's log temperature.
        one_label: each row has one label, so that the labels compete: softmax over them. Otherwise, the probability of
            presence against absence, or without prompts for absence, the cosine similarity.
    """
    similarity = image_features.astype(np.float64) @ present.T.astype(np.float64)
    if one_label:
        return softmax(np.exp(logit_scale) * similarity)
    if absent is None:
        return similarity
    difference = similarity - image_features.astype(np.float64) @ absent.T.astype(np.float64)
    chances: Floats = 1 / (1 + np.exp(-np.exp(logit_scale) * difference))
    return chances


def describe(task: Classification, resampling: Resampling) -> dict[str, Any]:
    """Metrics with intervals, the same a label, and for one label a row the confusion matrix and the calibration."""
    found = resampling.estimate(task.measure)
    # With one label a row, the balanced accuracy is the mean over the labels of their sensitivity.
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
    np.add.at(matrix, (task.truth.argmax(axis=1), task.called), 1)
    report["confusion"] = matrix.tolist()
    bins = calibration(task.truth, task.scores)
    error = expected_calibration_error(bins)
    report["calibration"] = {"expected_calibration_error": error, "bins": [vars(part) for part in bins]}
    return report


def worst_mistakes(task: Classification, row_numbers: Sequence[int], count: int = 25) -> list[dict[str, Any]]:
    """The mistakes that were made with the highest score, or, with several labels a row, by the widest margin."""
    if task.thresholds is None:
        score = task.scores.max(axis=1)
        wrong = ~task.truth[np.arange(len(score)), task.called]
        order = [row for row in np.argsort(-score, kind="stable") if wrong[row]][:count]
        return [
            {
                "row": row_numbers[row],
                "label": task.labels[int(task.truth[row].argmax())],
                "called": task.labels[int(task.called[row])],
                "score": float(score[row]),
                "score_of_label": float(task.scores[row, task.truth[row].argmax()]),
            }
            for row in order
        ]
    margins = np.where(task.truth, task.thresholds - task.scores, task.scores - task.thresholds)
    margins = np.nan_to_num(margins, nan=-1.0)
    worst = [divmod(int(place), len(task.labels)) for place in np.argsort(-margins, axis=None, kind="stable")[:count]]
    return [
        {
            "row": row_numbers[row],
            "label": task.labels[column],
            "called": "absent" if task.truth[row, column] else "present",
            "score": float(task.scores[row, column]),
            "threshold": float(task.thresholds[column]),
        }
        for row, column in worst
        if margins[row, column] > 0 or (margins[row, column] == 0 and not task.truth[row, column])
    ]
