"""Confidence intervals of metrics from the values of a bootstrap's draws.

A rare label makes three corrections necessary; see docs/evaluate.md for what they mean to a reader.

- Draws of n groups spread a mean too little, by the factor (n - 1) / (n + 1) of its variance. So the deviations of a
  label's draws are rescaled, as in Rao and Wu (1988), "Resampling inference with complex survey data", JASA 83.
- One or two groups do not show their spread. In an average over labels, such a label gets the spread between the rarest
  labels: the method of collapsed strata, Wolter (2007), "Introduction to variance estimation", section 2.5. The spread
  includes the differences between these labels, so that the interval is rather too wide. The same holds for metrics
  that are 0 or 1 for a label, such as hit@k of its prompts, whatever the number of groups.
- Average precision and similar metrics are biased in the draws. Their median is moved to the estimate: a percentile
  interval that is centred in this way always holds its estimate.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.evaluation.statistics.metrics import Floats, Ints, Values, macro

MACRO = "macro_"  # prefix of a metric that is averaged over labels
CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.96  # of the normal distribution, for CONFIDENCE
FEWEST_GROUPS = 3  # of a label; fewer do not show their spread
FEWEST_POOLED = 10  # labels whose spread stands for that of labels with too few groups


@dataclass(frozen=True)
class Estimate:
    """A value and the bounds of its interval; NaN where they are not defined."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, Any]:
        """JSON object with null for undefined numbers."""
        return {"value": number_json(self.value), "interval": [number_json(self.low), number_json(self.high)]}


@dataclass(frozen=True)
class MetricEstimate:
    """A metric.

    Attributes:
        macro: the average over the labels.
        labels: one estimate per label.
        deviations: (samples,), what the average of each draw differs from the estimate; NaN if its spread is unknown.
    """

    macro: Estimate
    labels: list[Estimate]
    deviations: Floats

    def name(self, metric: str, prefix: str) -> str:
        """Name of the average, such as `macro_auc` for the metric `auc` and the prefix `macro_`."""
        return metric if len(self.labels) == 1 or metric == "balanced_accuracy" else f"{prefix}{metric}"


@dataclass(frozen=True)
class Support:
    """The groups that the values of a measure rest on.

    Attributes:
        groups: number of all groups.
        labels: (L,), number of groups of each label: those with the label or those without it, whichever are fewer.
        owner: (L,), the number of one of these groups.
    """

    groups: int
    labels: Ints
    owner: Ints


@dataclass(frozen=True)
class Drawn:
    """A metric with the corrected deviations of its draws.

    Attributes:
        value: (L,), the estimate of each label, or (1,).
        deviations: (samples, L), what each draw differs from it; NaN for a label with an unknown spread.
        groups: (L,), number of groups that each label rests on; 1 for metrics that are 0 or 1 for a label.
    """

    value: Floats
    deviations: Floats
    groups: Ints

    def minus(self, other: "Drawn") -> "Drawn":
        """The difference between two parts of the same draws."""
        fewer = np.minimum(self.groups, other.groups)
        return Drawn(self.value - other.value, self.deviations - other.deviations, fewer)

    def only(self, labels: Sequence[bool]) -> "Drawn":
        """The same without a value for the labels that are not marked."""
        return Drawn(np.where(labels, self.value, np.nan), self.deviations, self.groups)

    def estimate(self, least: float, most: float) -> MetricEstimate:
        """Intervals of the labels and of their average.

        Args:
            least: smallest possible value.
            most: largest possible value.
        """
        defined = np.isfinite(self.value)
        average = self.deviations[:, defined].mean(axis=1) if defined.any() else self.deviations[:, 0]
        labels = [
            _interval(
                float(value), self.deviations[:, label] if self.groups[label] >= FEWEST_GROUPS else None, least, most
            )
            for label, value in enumerate(self.value)
        ]
        return MetricEstimate(_interval(float(macro(self.value)), average, least, most), labels, average)


def correct(
    values: Values, draws: Sequence[Values], support: Support, seed: Sequence[int], yes_or_no: Collection[str] = ()
) -> dict[str, Drawn]:
    """Rescale the deviations of the draws, and give labels with few groups the spread between the rarest labels.

    Args:
        values: metric -> (L,) or (1,), the estimates.
        draws: the same of each draw.
        support: the groups that the values rest on.
        seed: seed of the spread of labels with few groups.
        yes_or_no: the metrics that are 0 or 1 for a label.
    """
    found = {}
    for name, value in values.items():
        drawn = np.array([draw[name] for draw in draws]).reshape(len(draws), len(value))
        per_label = len(value) == len(support.labels)
        groups = support.labels if per_label else np.array([support.groups])
        groups = np.minimum(groups, 1) if name in yes_or_no else groups
        deviations = (drawn - value) * np.sqrt((groups + 1) / np.maximum(groups - 1, 1))
        few = np.flatnonzero((groups < FEWEST_GROUPS) & np.isfinite(value))
        if len(few):
            deviations[:, few] = np.nan
            pool = [label for label in np.argsort(groups, kind="stable") if np.isfinite(value[label])]
            pool = pool[: max(len(few), FEWEST_POOLED)]
            if per_label and min(len(pool), support.groups) >= FEWEST_POOLED:
                spread = _spread(value[pool], support.owner[few], len(draws), seed)
                scale = np.sqrt(
                    1 / groups[few] / (1 / groups[pool]).mean()
                )  # a value of n groups has 1/n of a variance
                deviations[:, few] = drawn[:, few] - value[few] + scale * spread
        found[name] = Drawn(value, deviations, groups)
    return found


def _spread(values: Floats, owners: Ints, samples: int, seed: Sequence[int]) -> Floats:
    """Deviations (samples, len(owners)) of random values from their mean; labels of one group get the same ones."""
    distinct, place = np.unique(owners, return_inverse=True)
    picks = np.random.default_rng(seed).integers(0, len(values), (samples, len(distinct)))[:, place]
    spread: Floats = (values[picks] - values.mean()) * math.sqrt(len(values) / (len(values) - 1))
    return spread


def _interval(value: float, deviations: Floats | None, least: float, most: float) -> Estimate:
    if deviations is None or not len(deviations) or not np.isfinite(value) or not np.isfinite(deviations).all():
        return Estimate(value, math.nan, math.nan)
    tails = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
    low, high = value + np.quantile(deviations, tails) - np.median(deviations)
    return Estimate(value, min(max(float(low), least), value), max(min(float(high), most), value))


def paired_difference(value: float, deviations: Floats, other: float, other_deviations: Floats) -> Estimate:
    """The difference of two estimates from the same draws: what moves both in a draw cancels.

    A difference that is the same in all draws has no interval, because it does not show its spread. Two equal estimates
    with equal draws differ by 0, in an interval without width.

    The interval is normal: 1.96 standard deviations of the draws' differences on both sides. Weights of draws are above
    0, so if two models differ in one row only, the difference of every draw has the same sign, and an interval of
    quantiles would exclude 0. For shares of right rows, the normal interval excludes 0 where McNemar's test (1947,
    Psychometrika 12) finds a difference at 5 %: at least four differing rows if all favour the same model. Of ten rows
    or fewer, three suffice. An average with a label of ten groups or fewer excludes 0 too often; see docs/evaluate.md.

    Args:
        value, other: the estimates.
        deviations, other_deviations: (samples,), what each draw differs from them, draw by draw in the same order.
    """
    reach = NORMAL_QUANTILE * float(np.std(deviations - other_deviations))
    difference = value - other
    if reach == 0 and difference != 0:
        reach = math.nan
    return Estimate(difference, difference - reach, difference + reach)


def metrics_json(found: Mapping[str, MetricEstimate], prefix: str = "") -> dict[str, Any]:
    """JSON object of the averages, each with the number of labels that it averages, `labels`."""
    described = {}
    for name, metric in found.items():
        described[metric.name(name, prefix)] = metric.macro.as_json()
        if len(metric.labels) > 1:
            defined = sum(math.isfinite(label.value) for label in metric.labels)
            described[metric.name(name, prefix)]["labels"] = defined
    return described


def number_json(value: float) -> float | None:
    """The number; None if it is not finite."""
    return float(value) if math.isfinite(value) else None
