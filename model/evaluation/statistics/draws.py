"""Deviations of bootstrap draws in report.json, with which two reports on the same rows are compared draw by draw."""

import base64
from collections.abc import Mapping

import numpy as np

from model.evaluation.statistics.intervals import MetricEstimate
from model.evaluation.statistics.metrics import Floats

_NUMBERS = "<f4"


def draws_json(found: Mapping[str, MetricEstimate], prefix: str = "") -> dict[str, str]:
    """JSON object of metric -> what each draw differs from the estimate, as base64 of little-endian float32.

    Metrics whose spread is unknown are left out.

    Args:
        found: the estimates.
        prefix: text before the name of a metric that is averaged over labels.
    """
    return {
        metric.name(name, prefix): base64.b64encode(metric.deviations.astype(_NUMBERS).tobytes()).decode()
        for name, metric in found.items()
        if len(metric.deviations) and np.isfinite(metric.deviations).all()
    }


def read_draws(text: str) -> Floats:
    """The deviations, (samples,), that `draws_json` wrote.

    Raises:
        ValueError: it is not such a text.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), dtype=_NUMBERS).astype(np.float64)
