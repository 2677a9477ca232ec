"""Confidence intervals from a bootstrap over whole groups, because rows of one patient are not independent."""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.evaluation.options import DEFAULT_SAMPLES
from model.evaluation.statistics.metrics import Floats, Ints, Values, macro

Measure = Callable[[Ints], Values]  # (n,) weights of rows -> metrics; see model.evaluation.statistics.metrics

MACRO = "macro_"  # prefix of a metric that is averaged over labels
CONFIDENCE = 0.95


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
    """A metric: its macro average, and one estimate per label."""

    macro: Estimate
    labels: list[Estimate]

    def name(self, metric: str, prefix: str) -> str:
        """Name of the average, such as `macro_auc` for the metric `auc` and the prefix `macro_`."""
        return metric if len(self.labels) == 1 or metric == "balanced_accuracy" else f"{prefix}{metric}"


class Resampling:
    """Draws of groups with replacement.

    Args:
        groups: n groups; a row with None is a group of its own.
        samples: number of draws.
        seed: seed of the draws; the same groups and seed give the same draws.
    """

    def __init__(self, groups: Sequence[Hashable | None], samples: int = DEFAULT_SAMPLES, seed: int = 0) -> None:
        keys = [("row", number) if group is None else ("group", group) for number, group in enumerate(groups)]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self._group_of_row = np.array([numbers[key] for key in keys], dtype=np.int64)
        self.groups, self.rows, self.samples, self._seed = len(numbers), len(keys), samples, seed

    def weights(self) -> Iterator[Ints]:
        """For each draw, how often each row was drawn, (n,). Every call gives the same draws."""
        rng = np.random.default_rng(self._seed)
        for _ in range(self.samples):
            draw = rng.multinomial(self.groups, np.full(self.groups, 1 / self.groups))
            yield draw.astype(np.int64)[self._group_of_row]

    def groups_among(self, inside: Ints) -> int:
        """Number of groups among the rows that are marked with 1 in `inside`, (n,)."""
        return len(np.unique(self._group_of_row[inside > 0]))

    def estimate(self, measure: Measure) -> dict[str, MetricEstimate]:
        """Metrics of `measure` with 95 % percentile intervals."""
        return estimates(measure(np.ones(self.rows, dtype=np.int64)), [measure(draw) for draw in self.weights()])


def estimates(values: Values, draws: Sequence[Values]) -> dict[str, MetricEstimate]:
    """Metrics with the percentile intervals of their values in the draws."""
    found = {}
    for name, value in values.items():
        drawn = np.array([draw[name] for draw in draws]).reshape(len(draws), len(value))  # (samples, labels)
        found[name] = MetricEstimate(
            _interval(float(macro(value)), macro(drawn)),
            [_interval(float(value[label]), drawn[:, label]) for label in range(len(value))],
        )
    return found


def _interval(value: float, drawn: Floats) -> Estimate:
    defined = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(defined):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(defined, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Estimate(value, float(low), float(high))


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
