"""Metrics of subgroups, such as women and men: counts, values, and differences from all other rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.errors import ManifestError
from model.evaluation.statistics.bootstrap import Measure, Resampling, estimates, metrics_json
from model.evaluation.statistics.metrics import Flags, Floats, Ints, Values

MISSING = "(none)"
MOST_VALUES = 30  # of a column whose values are the subgroups
BANDS = 4  # of a column with many numbers
FEWEST_ROWS = 10  # a subgroup or a label with fewer rows gets no metrics: its intervals would be too narrow

Parts = dict[str, Flags]  # subgroup -> (n,), True for its rows


def parts_of(column: str, values: Sequence[str]) -> Parts:
    """The subgroups of a column: one per value, or, for more than `MOST_VALUES` numbers, four bands of similar size.

    Args:
        column: name of the column, for the error message.
        values: n values; an empty one belongs to the subgroup `MISSING`.

    Raises:
        ManifestError: the column has too many values, and not all of them are numbers.
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
    """JSON object of each subgroup: its number of rows and groups, its metrics, and their differences from other rows.

    A difference is the mean over the labels that are defined both in the subgroup and in the other rows. Otherwise a
    subgroup that has only the easy labels would look better. Each bootstrap draw gives the values of both. Labels with
    fewer than `FEWEST_ROWS` rows are left out, because a bootstrap of few rows gives intervals that are too narrow.

    Args:
        measure: measure of all n rows.
        parts: subgroup -> (n,), as `parts_of` returns it.
        resampling: bootstrap of all n rows.
        truth: (n, L), the labels of each row, if the measure has one value per label; otherwise None.
        prefix: text before the name of a metric that is averaged over labels.
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
    enough = labels[rows].sum(axis=0) >= FEWEST_ROWS
    enough_in_both = enough & (labels[~rows].sum(axis=0) >= FEWEST_ROWS)
    inside = rows.astype(np.int64)

    def both(weights: Ints) -> tuple[Values, Values]:
        own, rest = measure(weights * inside), measure(weights * (1 - inside))
        difference = {name: own[name] - rest[name] for name in own}
        return _only(own, enough), _only(difference, enough_in_both)

    own, difference = both(np.ones_like(inside))
    drawn = [both(draw) for draw in resampling.weights()]
    values = estimates(own, [part for part, _ in drawn])
    differences = estimates(difference, [part for _, part in drawn])
    described = metrics_json(values, prefix)
    for name, metric in values.items():
        described[metric.name(name, prefix)]["difference"] = differences[name].macro.as_json()
    return {"metrics": described}


def _only(values: Values, enough: Flags) -> Values:
    """The values, with NaN for labels that do not have enough rows."""
    return {
        name: np.where(enough, value, np.nan) if len(value) == len(enough) else value for name, value in values.items()
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
