"""Where a request's time goes."""

import time

import pytest

from app.telemetry.stage_timings import STAGES, StageTimings


def test_the_stages_follow_one_another_and_add_up() -> None:
    timings = StageTimings()
    for number, stage in enumerate(STAGES[:-1], start=1):
        timings.reached(stage, timings.start + number)
    durations = timings.durations()
    assert list(durations) == list(STAGES)
    assert [durations[stage] for stage in STAGES[:-1]] == pytest.approx([1] * 6)


def test_of_several_rows_the_last_counts_and_of_the_wait_the_first() -> None:
    timings = StageTimings()
    timings.reached("preprocess", timings.start + 3)
    timings.reached("preprocess", timings.start + 2)
    timings.reached_first("wait")
    waited = timings.durations()["wait"]
    timings.reached_first("wait")
    durations = timings.durations()
    assert durations["wait"] == waited
    assert durations["wait"] + durations["preprocess"] == pytest.approx(3)


def test_a_stage_that_was_not_needed_takes_nothing_and_none_is_negative() -> None:
    timings = StageTimings()
    timings.reached("read", timings.start + 0.002)
    timings.reached("device", timings.start + 0.001)  # the clock of another row
    time.sleep(0.003)
    durations = timings.durations()
    assert durations["read"] == pytest.approx(0.002)
    assert (durations["queue"], durations["device"]) == (0, 0)
    assert sum(durations.values()) <= time.perf_counter() - timings.start
    assert min(durations.values()) >= 0
