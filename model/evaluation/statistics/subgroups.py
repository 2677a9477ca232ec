"""Metrics of subgroups, such as women and men: counts, values, and differences from all other rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.errors import ManifestError
from model.evaluation.statistics.bootstrap import Resampling
from model.evaluation.statistics.intervals import correct, metrics_json
from model.evaluation.statistics.metrics import Flags, Floats, Measure

MISSING = "(none)"
MOST_VALUES = 30  # of a column whose values are the subgroups
BANDS = 4  # of a column with many numbers
FEWEST_ROWS = 10  # a subgroup or a label with fewer rows gets no metrics: its intervals would be too narrow
FEW_ROWS = f"fewer than {FEWEST_ROWS} rows"

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


def describe_parts(measure: Measure, parts: Parts, resampling: Resampling, prefix: str = "") -> dict[str, Any]:
    """JSON object of each subgroup: its number of rows and groups, its metrics, and their differences from other rows.

    A difference is the mean over the labels that are defined both in the subgroup and in the other rows. Otherwise a
    subgroup that has only the easy labels would look better. Each bootstrap draw gives the values of both. Labels with
    fewer than `FEWEST_ROWS` rows are left out, because a bootstrap of few rows gives intervals that are too narrow.

    Args:
        measure: measure of all n rows.
        parts: subgroup -> (n,), as `parts_of` returns it.
        resampling: bootstrap of all n rows.
        prefix: text before the name of a metric that is averaged over labels.
    """
    return {
        name: {"rows": int(rows.sum()), "groups": resampling.groups_among(rows)}
        | (_describe_part(measure, rows, resampling, prefix) if is_large_enough(rows) else {"note": FEW_ROWS})
        for name, rows in parts.items()
    }


def is_large_enough(rows: Flags) -> bool:
    """Whether a subgroup has enough rows, (n,), for metrics."""
    return int(rows.sum()) >= FEWEST_ROWS


def _describe_part(measure: Measure, rows: Flags, resampling: Resampling, prefix: str) -> dict[str, Any]:
    parts = [(rows.astype(np.float64), rows), ((~rows).astype(np.float64), ~rows)]
    draws = [[measure(draw * inside) for inside, _ in parts] for draw in resampling.weights()]
    own, rest = (
        correct(
            measure(inside),
            [draw[number] for draw in draws],
            resampling.support(measure.truth, flags),
            [resampling.seed, number],  # another seed for each part: their spreads are independent
            measure.yes_or_no,
        )
        for number, (inside, flags) in enumerate(parts)
    )
    enough = measure.truth[rows].sum(axis=0) >= FEWEST_ROWS
    enough_in_both = enough & (measure.truth[~rows].sum(axis=0) >= FEWEST_ROWS)
    values, differences = {}, {}
    for name, drawn in own.items():
        difference = drawn.minus(rest[name])
        if len(drawn.value) == len(enough):
            drawn, difference = drawn.only(enough), difference.only(enough_in_both)
        values[name] = drawn.estimate(0, measure.most)
        differences[name] = difference.estimate(-measure.most, measure.most)
    described = metrics_json(values, prefix)
    for name, metric in values.items():
        described[metric.name(name, prefix)]["difference"] = differences[name].macro.as_json()
    return {"metrics": described}


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
