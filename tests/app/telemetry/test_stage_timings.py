"""Stage timings: consecutive, never negative, and together the duration of the request."""

import time

import pytest

from app.telemetry.stage_timings import STAGES, StageTimings


def test_the_stages_follow_one_another_and_add_up() -> None:
    timings = StageTimings()
    for number, stage in enumerate(STAGES[:-1], start=1):
        timings.mark_end(stage, timings.start + number)
    durations = timings.durations()
    assert list(durations) == list(STAGES)
    assert [durations[stage] for stage in STAGES[:-1]] == pytest.approx([1] * 6)


def test_of_several_rows_the_last_counts_and_of_the_wait_the_first() -> None:
    timings = StageTimings()
    timings.mark_end("preprocess", timings.start + 3)
    timings.mark_end("preprocess", timings.start + 2)
    timings.mark_end_once("wait")
    waited = timings.durations()["wait"]
    timings.mark_end_once("wait")
    durations = timings.durations()
    assert durations["wait"] == waited
    assert durations["wait"] + durations["preprocess"] == pytest.approx(3)


def test_a_stage_that_was_not_needed_takes_nothing_and_none_is_negative() -> None:
    timings = StageTimings()
    timings.mark_end("read", timings.start + 0.002)
    timings.mark_end("device", timings.start + 0.001)  # recorded later, with an earlier time
    time.sleep(0.003)
    durations = timings.durations()
    assert durations["read"] == pytest.approx(0.002)
    assert (durations["queue"], durations["device"]) == (0, 0)
    assert sum(durations.values()) <= time.perf_counter() - timings.start
    assert min(durations.values()) >= 0
