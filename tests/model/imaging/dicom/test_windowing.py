"""Modality and VOI LUTs, rescaling and windows."""

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model.imaging.rendering import WINDOWS, Rendering, Window
from tests.support.image_files.dicom import HOUNSFIELD, ct, greys


def test_the_first_window_of_the_file_is_applied() -> None:
    assert greys(ct(HOUNSFIELD, WindowCenter=[0, 40], WindowWidth=[2000, 80])) == [[0, 51, 128, 133, 138, 255]]
    assert greys(ct(HOUNSFIELD, WindowCenter=40, WindowWidth=80, VOILUTFunction="LINEAR_EXACT")) == [
        [0, 0, 0, 128, 255, 255]
    ]


def test_a_sigmoid_window_is_applied() -> None:
    (row,) = greys(ct(HOUNSFIELD, WindowCenter=40, WindowWidth=80, VOILUTFunction="SIGMOID"))
    assert row == [round(255 / (1 + np.exp(-4 * (value - 40) / 80))) for value in HOUNSFIELD[0].astype(float)]


def test_rescaling_comes_before_the_window() -> None:
    stored = (HOUNSFIELD + 1024).astype(np.uint16)
    elements = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "WindowCenter": 40, "WindowWidth": 80}
    assert greys(ct(stored, **elements)) == greys(ct(HOUNSFIELD, WindowCenter=40, WindowWidth=80))


@pytest.mark.parametrize(("name", "first", "last"), [("lung", 60, 255), ("brain", 0, 255), ("temporal_bone", 0, 164)])
def test_a_requested_window_replaces_the_one_of_the_file(name: str, first: int, last: int) -> None:
    window = WINDOWS[name]
    (row,) = greys(ct(HOUNSFIELD, WindowCenter=0, WindowWidth=5), Rendering(window=window))
    low = window.center - window.width / 2
    assert row == [round(min(max((value - low) * 255 / window.width, 0), 255)) for value in HOUNSFIELD[0].tolist()]
    assert (row[0], row[-1]) == (first, last)


def test_without_a_window_the_percentiles_of_the_frame_are_used() -> None:
    values = np.arange(1000, dtype=np.int16).reshape(10, 100)
    values[0, 0], values[-1, -1] = -32000, 32000  # outliers: a window between them would make the other values equal
    levels = np.ravel(greys(ct(values)))
    assert (levels[0], levels[10], levels[500], levels[-1]) == (0, 1, 128, 255)


@pytest.mark.parametrize("window", [{"WindowCenter": 40, "WindowWidth": 0}, {"WindowCenter": 40, "WindowWidth": "-3"}])
def test_a_window_without_width_is_ignored(window: dict[str, Any]) -> None:
    assert greys(ct(HOUNSFIELD, **window)) == greys(ct(HOUNSFIELD))


def test_a_frame_of_one_value_is_black() -> None:
    assert greys(ct(np.full((2, 2), 7, dtype=np.uint16))) == [[0, 0], [0, 0]]


def test_a_voi_lut_takes_precedence_over_a_window() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [3, 10, 16], np.array([0, 65535, 32768], dtype=np.uint16).tobytes()
    data = ct(
        np.array([[0, 10, 11, 12, 99]], dtype=np.uint16),
        VOILUTSequence=Sequence([table]),
        WindowCenter=5,
        WindowWidth=5,
    )
    assert greys(data) == [[0, 0, 255, 128, 128]]


def test_a_modality_lut_is_applied() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData, table.ModalityLUTType = [3, 0, 16], b"\x00\0\x64\0\xc8\0", "US"
    data = ct(np.array([[0, 1, 2]], dtype=np.uint16), ModalityLUTSequence=Sequence([table]))
    assert greys(data, Rendering(window=Window(100, 200))) == [[0, 128, 255]]
