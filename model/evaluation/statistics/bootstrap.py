"""Confidence intervals by resampling whole groups: rows of one patient are not independent of each other."""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.evaluation.options import DEFAULT_SAMPLES
from model.evaluation.statistics.metrics import Floats, Ints, Values, macro

Measure = Callable[[Ints], Values]

MACRO = "macro_"  # before the name of a metric that is averaged over labels
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, Any]:
        """With null for what is not defined."""
        return {"value": number_json(self.value), "interval": [number_json(self.low), number_json(self.high)]}


@dataclass(frozen=True)
class MetricEstimate:
    """A metric: its macro average, and one estimate a label."""

    macro: Estimate
    labels: list[Estimate]

    def name(self, metric: str, prefix: str) -> str:
        """The name of the average: `macro_auc` where `auc` is of a label."""
        return metric if len(self.labels) == 1 or metric == "balanced_accuracy" else f"{prefix}{metric}"


class Resampling:
    """Draws of groups with replacement, the same ones for everything that is measured on the same rows.

    Args:
        groups: one a row; None in it makes the row its own group.
        samples: how many draws.
        seed: of the draws.
    """

    def __init__(self, groups: Sequence[Hashable | None], samples: int = DEFAULT_SAMPLES, seed: int = 0) -> None:
        keys = [("row", number) if group is None else ("group", group) for number, group in enumerate(groups)]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self._group_of_row = np.array([numbers[key] for key in keys], dtype=np.int64)
        self.groups, self.rows, self.samples, self._seed = len(numbers), len(keys), samples, seed

    def weights(self) -> Iterator[Ints]:
        """(n,) a draw: how often each row was drawn. The same draws at every call."""
        rng = np.random.default_rng(self._seed)
        for _ in range(self.samples):
            draw = rng.multinomial(self.groups, np.full(self.groups, 1 / self.groups))
            yield draw.astype(np.int64)[self._group_of_row]

    def groups_among(self, inside: Ints) -> int:
        """How many groups the rows that are marked with 1 are of."""
        return len(np.unique(self._group_of_row[inside > 0]))

    def estimate(self, measure: Measure) -> dict[str, MetricEstimate]:
        """Every metric of `measure` with percentile intervals."""
        return estimates(measure(np.ones(self.rows, dtype=np.int64)), [measure(draw) for draw in self.weights()])


def estimates(values: Values, draws: Sequence[Values]) -> dict[str, MetricEstimate]:
    """Metrics with the intervals that their values in the draws give."""
    found = {}
    for name, value in values.items():
        drawn = np.array([draw[name] for draw in draws]).reshape(len(draws), len(value))  # (samples, labels)
        found[name] = MetricEstimate(
            _interval(float(macro(value)), macro(drawn)),
            [_interval(float(value[label]), drawn[:, label]) for label in range(len(value))],
        )
    return found


def _interval(value: float, drawn: Floats) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(known):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(known, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Estimate(value, float(low), float(high))


def metrics_json(found: Mapping[str, MetricEstimate], prefix: str = "") -> dict[str, Any]:
    """The averages as JSON, with how many labels each is over."""
    described = {}
    for name, metric in found.items():
        described[metric.name(name, prefix)] = metric.macro.as_json()
        if len(metric.labels) > 1:
            known = sum(math.isfinite(label.value) for label in metric.labels)
            described[metric.name(name, prefix)]["labels"] = known
    return described


def number_json(value: float) -> float | None:
    """Null for what is not defined."""
    return float(value) if math.isfinite(value) else None
