"""Intervals from a bootstrap that draws whole groups."""

import numpy as np
import pytest

from model.evaluation.statistics.bootstrap import Resampling
from model.evaluation.statistics.intervals import metrics_json
from model.evaluation.statistics.metrics import RowValues


def test_the_rows_of_a_group_have_one_weight() -> None:
    resampling = Resampling(["a", "a", "b", None, None, "b"], samples=50)
    assert resampling.groups == 4
    for draw in resampling.weights():
        assert draw[0] == draw[1]
        assert draw[2] == draw[5]
        assert draw[0] + draw[2] + draw[3] + draw[4] == pytest.approx(4, abs=0.01)


def test_no_draw_loses_a_group() -> None:
    assert all((draw > 0).all() for draw in Resampling([None] * 200, 500).weights())


def test_the_same_seed_draws_the_same() -> None:
    one, same, other = (np.stack(list(Resampling([None] * 9, 5, seed).weights())) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_an_interval_is_as_wide_as_theory_says() -> None:
    """The mean of 400 rows with variance 1 has a standard error of 0.05."""
    values = 5 + np.random.default_rng(0).standard_normal(400)
    metric = Resampling([None] * 400, 1000).estimate(RowValues({"mean": values}, most=10))["mean"].macro
    assert metric.value == pytest.approx(values.mean())
    assert metric.high - metric.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_repeated_rows_in_a_group_do_not_narrow_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).random(40), 10)
    groups = np.repeat(np.arange(40), 10).tolist()
    by_group = Resampling(groups).estimate(RowValues({"mean": values}))["mean"].macro
    by_row = Resampling([None] * 400).estimate(RowValues({"mean": values}))["mean"].macro
    assert by_group.high - by_group.low > 2.5 * (by_row.high - by_row.low)


def test_undefined_values_are_null() -> None:
    found = Resampling([None, None], 3).estimate(RowValues({"mean": np.array([np.nan, np.nan])}))
    assert metrics_json(found) == {"mean": {"value": None, "interval": [None, None]}}
