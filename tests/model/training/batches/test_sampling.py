"""Shares of a batch, and the draws of its rows."""

from collections import Counter

import pytest

from model.errors import TrainingError
from model.training.batches.sampling import BatchSampler, Draw, batch_shares

STRATA = ["big"] * 70 + ["mid"] * 20 + ["small"] * 10


def sampler(shares: dict[str, float], **changes: int) -> BatchSampler:
    given = {"batch_size": 10, "steps": 40, "seed": 3} | changes
    return BatchSampler(STRATA, batch_shares(STRATA, shares), **given)


def test_the_other_strata_divide_the_rest_by_numbers_of_rows() -> None:
    assert batch_shares(STRATA, {"big": 0.4}) == {"big": 0.4, "mid": pytest.approx(0.4), "small": pytest.approx(0.2)}
    assert batch_shares(STRATA, {"big": 1, "mid": 2, "small": 1}) == {"big": 0.25, "mid": 0.5, "small": 0.25}
    assert batch_shares(STRATA, {}) == dict.fromkeys(("big", "mid", "small"), 1 / 3)


@pytest.mark.parametrize("shares", [{"none": 0.5}, {"big": 0}, {"big": 0.6, "mid": 0.4}])
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(TrainingError):
        batch_shares(STRATA, shares)


def test_every_batch_keeps_the_shares_to_within_one_image() -> None:
    counts = [Counter(STRATA[draw.row] for draw in batch) for batch in sampler({"big": 0.33})]
    assert {sum(count.values()) for count in counts} == {10}
    assert {count["big"] for count in counts} == {3, 4}
    assert sum(count["big"] for count in counts) / 400 == pytest.approx(0.33, abs=0.02)


def test_all_rows_of_a_stratum_are_drawn_before_one_is_repeated() -> None:
    drawn = [draw.row for batch in sampler({}) for draw in batch if STRATA[draw.row] == "mid"]
    assert set(drawn[:20]) == set(range(70, 90))
    assert set(drawn[20:40]) == set(range(70, 90))
    assert drawn[:20] != drawn[20:40]


def test_it_starts_at_any_step_with_the_same_draws() -> None:
    assert list(sampler({"big": 0.3}))[17:] == list(sampler({"big": 0.3}, start=17))
    assert len(sampler({}, start=17)) == 23


def test_ranks_divide_the_batch_of_one_process() -> None:
    whole = list(sampler({}))
    parts = zip(sampler({}, rank=0, ranks=2), sampler({}, rank=1, ranks=2), strict=True)
    assert [first + second for first, second in parts] == whole
    with pytest.raises(TrainingError, match="evenly among 3"):
        sampler({}, ranks=3)


def test_seeds_of_draws_are_distinct_and_another_seed_gives_other_draws() -> None:
    draws = [draw for batch in sampler({}) for draw in batch]
    assert len({draw.seed for draw in draws}) == 400
    assert draws != [draw for batch in sampler({}, seed=4) for draw in batch]
    assert isinstance(draws[0], Draw)
