"""Values to greys: windows and percentiles."""

import numpy as np

from model.imaging.rendering import PercentileWindow, Window
from model.imaging.windowing import linear, map_to_greys, percentile_window


def test_a_window_is_mapped_from_black_to_white() -> None:
    values = np.array([[-5.0, 0.0, 5.0, 10.0, 99.0, np.nan, np.inf]])
    assert map_to_greys(values, linear(Window(5, 10))).tolist() == [[0, 0, 128, 255, 255, 0, 255]]


def test_a_picture_of_more_values_than_a_block_is_mapped_whole() -> None:
    values = np.tile(np.arange(256, dtype=np.int16), 2**13).reshape(2**10, -1)
    assert np.array_equal(map_to_greys(values, linear(Window(127.5, 255))), values)


def test_the_percentiles_ignore_outliers_and_non_finite_values() -> None:
    values = np.append(np.linspace(0, 200, 1001), [1e30, np.nan, -np.inf])
    window = percentile_window(values)
    assert (round(window.center), round(window.width)) == (100, 198)


def test_the_percentiles_may_be_others() -> None:
    assert percentile_window(np.arange(101), percentiles=PercentileWindow(10, 95)) == Window(52.5, 85)


def test_equal_percentiles_give_the_window_of_all_values() -> None:
    assert percentile_window(np.array([0] * 1000 + [4])) == Window(2, 4)


def test_equal_values_become_black() -> None:
    for values in (np.full(9, 3), np.full(9, np.nan), np.array([])):
        assert not map_to_greys(values, linear(percentile_window(values))).any()


def test_the_bounds_are_rescaled() -> None:
    assert percentile_window(np.array([0, 10]), lambda bounds: 5.0 - bounds) == Window(0, 10)
