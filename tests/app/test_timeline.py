"""Where a request's time goes."""

import time

import pytest

from app.timeline import STAGES, Timeline


def test_the_stages_follow_one_another_and_add_up() -> None:
    timeline = Timeline()
    for number, stage in enumerate(STAGES[:-1], start=1):
        timeline.reached(stage, timeline.start + number)
    durations = timeline.durations()
    assert list(durations) == list(STAGES)
    assert [durations[stage] for stage in STAGES[:-1]] == pytest.approx([1] * 6)


def test_of_several_rows_the_last_counts_and_of_the_wait_the_first() -> None:
    timeline = Timeline()
    timeline.reached("preprocess", timeline.start + 3)
    timeline.reached("preprocess", timeline.start + 2)
    timeline.reached_first("wait")
    waited = timeline.durations()["wait"]
    timeline.reached_first("wait")
    durations = timeline.durations()
    assert durations["wait"] == waited
    assert durations["wait"] + durations["preprocess"] == pytest.approx(3)


def test_a_stage_that_was_not_needed_takes_nothing_and_none_is_negative() -> None:
    timeline = Timeline()
    timeline.reached("read", timeline.start + 0.002)
    timeline.reached("device", timeline.start + 0.001)  # the clock of another row
    time.sleep(0.003)
    durations = timeline.durations()
    assert durations["read"] == pytest.approx(0.002)
    assert (durations["queue"], durations["device"]) == (0, 0)
    assert sum(durations.values()) <= time.perf_counter() - timeline.start
    assert min(durations.values()) >= 0
