"""Every metric again for parts of the rows, such as women and men: counts, values, differences from the rest."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.errors import ManifestError
from model.evaluation.statistics.bootstrap import Measure, Resampling, estimates, metrics_json
from model.evaluation.statistics.metrics import Flags, Floats, Ints, Values

MISSING = "(none)"
MOST_VALUES = 30
BANDS = 4
FEWEST_ROWS = 10  # of a subgroup, and in it of a label, whose metrics and intervals are worth a look

Parts = dict[str, Flags]  # subgroup -> (n,) its rows


def parts_of(column: str, values: Sequence[str]) -> Parts:
    """The subgroups that a column makes: one a value, or, of numbers with many values, four bands of about equal size.

    Raises:
        ManifestError: too many values that are no numbers.
    """
    distinct = sorted(set(values))
    if len(distinct) > MOST_VALUES:
        numbers = _numbers(values)
        if numbers is None:
            raise ManifestError(
                f"the column {column} has {len(distinct)} different values; subgroups need at most {MOST_VALUES}"
            )
        edges = np.nanquantile(numbers, np.linspace(0, 1, BANDS + 1)[1:-1])
        bands = np.searchsorted(edges, numbers, side="left")
        names = [_band_name(edges, band) for band in range(BANDS)]
        values = [MISSING if np.isnan(number) else names[band] for number, band in zip(numbers, bands, strict=True)]
        distinct = [name for name in [*names, MISSING] if name in values]
    column_values = np.array(values)
    return {value or MISSING: column_values == value for value in distinct}


def describe_parts(
    measure: Measure, parts: Parts, resampling: Resampling, truth: Flags | None = None, prefix: str = ""
) -> dict[str, Any]:
    """Each subgroup's rows, groups, metrics, and their differences from all other rows, with intervals.

    A difference is the mean over the labels that are defined on both sides, so that a subgroup is not called better for
    having only the easy labels. Both sides are drawn together. Labels of few rows are left out, because a bootstrap of
    few rows makes intervals that are too narrow.

    Args:
        measure: of all rows.
        parts: see `parts_of`.
        resampling: of all rows.
        truth: (n, L) which labels each row has, where the measure has a value a label.
        prefix: see `metrics_json`.
    """
    return {
        name: {"rows": int(rows.sum()), "groups": resampling.groups_among(rows.astype(np.int64))}
        | _describe_part(measure, rows, resampling, truth, prefix)
        for name, rows in parts.items()
    }


def _describe_part(
    measure: Measure, rows: Flags, resampling: Resampling, truth: Flags | None, prefix: str
) -> dict[str, Any]:
    if rows.sum() < FEWEST_ROWS:
        return {"note": f"fewer than {FEWEST_ROWS} rows"}
    labels = np.zeros((len(rows), 0), dtype=np.bool_) if truth is None else truth
    known = labels[rows].sum(axis=0) >= FEWEST_ROWS
    known_to_both = known & (labels[~rows].sum(axis=0) >= FEWEST_ROWS)
    inside = rows.astype(np.int64)

    def both(weights: Ints) -> tuple[Values, Values]:
        own, rest = measure(weights * inside), measure(weights * (1 - inside))
        difference = {name: own[name] - rest[name] for name in own}
        return _only(own, known), _only(difference, known_to_both)

    own, difference = both(np.ones_like(inside))
    drawn = [both(draw) for draw in resampling.weights()]
    values = estimates(own, [part for part, _ in drawn])
    differences = estimates(difference, [part for _, part in drawn])
    described = metrics_json(values, prefix)
    for name, metric in values.items():
        described[metric.name(name, prefix)]["difference"] = differences[name].macro.as_json()
    return {"metrics": described}


def _only(values: Values, known: Flags) -> Values:
    """The values, with NaN for labels that are not known well enough."""
    return {
        name: np.where(known, value, np.nan) if len(value) == len(known) else value for name, value in values.items()
    }


def _numbers(values: Sequence[str]) -> Floats | None:
    try:
        return np.array([float(value) if value.strip() else np.nan for value in values])
    except ValueError:
        return None


def _band_name(edges: Floats, band: int) -> str:
    if band == 0:
        return f"up to {edges[0]:g}"
    if band == len(edges):
        return f"above {edges[-1]:g}"
    return f"above {edges[band - 1]:g}, up to {edges[band]:g}"
