"""Windows as users write them."""

from typing import Any

import pytest

from model.imaging.rendering import WINDOWS, AnyWindow, PercentileWindow, Window, parse_window, window_value


@pytest.mark.parametrize(
    ("value", "window"),
    [
        ("lung", WINDOWS["lung"]),
        ("40,80", Window(40, 80)),
        ([40, "80"], Window(40, 80)),
        ("percentile", PercentileWindow(0.5, 99.5)),
        ("p1-p99", PercentileWindow(1, 99)),
        ("p0-p100", PercentileWindow(0, 100)),
        ("p0.125-p99.875", PercentileWindow(0.125, 99.875)),
    ],
)
def test_a_window_is_parsed_and_written_in_the_same_words(value: Any, window: AnyWindow) -> None:
    assert parse_window(value) == window
    assert parse_window(window_value(window)) == window


def test_percentiles_are_written_as_they_are_usually_said() -> None:
    assert window_value(PercentileWindow()) == "percentile"
    assert window_value(PercentileWindow(5, 95)) == "p5-p95"
    assert window_value(Window(40, 80)) == [40, 80]


@pytest.mark.parametrize("value", ["p99-p1", "p1-p1", "p1-p101", "p50-p999"])
def test_percentiles_rise_from_0_to_100(value: str) -> None:
    with pytest.raises(ValueError, match="the percentiles must rise, from 0 to 100, as in p1-p99"):
        parse_window(value)


@pytest.mark.parametrize(
    "value", ["1-99", "p1", "p-1-p99", "p1-99", "p1-p99 ", "P1-P99", "p1e1-p99", "p١-p99", "", "p1-p99\n"]
)
def test_what_is_not_a_window_is_refused_without_its_text(value: str) -> None:
    with pytest.raises(ValueError, match=r"the name of the window is unknown; .*, and percentiles such as p1-p99$"):
        parse_window(value)


def test_a_long_text_is_not_split() -> None:
    with pytest.raises(
        ValueError, match=r"^the window must be a name, percentiles such as p1-p99, or .center, width.$"
    ):
        parse_window("1," * 1_000_000)


def test_percentiles_are_mirrored_where_values_fall() -> None:
    assert PercentileWindow(1, 95).mirrored() == PercentileWindow(5, 99)
