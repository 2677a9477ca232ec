"""What a DICOM header says of its values: rescaling, windows, look-up tables, padding, overlays."""

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model.imaging.rendering import WINDOWS, Rendering, Window
from tests.support.dicom_files import HOUNSFIELD, ct, greys


def test_the_first_window_of_the_file_counts() -> None:
    assert greys(ct(HOUNSFIELD, WindowCenter=[0, 40], WindowWidth=[2000, 80])) == [[0, 51, 128, 133, 138, 255]]
    assert greys(ct(HOUNSFIELD, WindowCenter=40, WindowWidth=80, VOILUTFunction="LINEAR_EXACT")) == [
        [0, 0, 0, 128, 255, 255]
    ]


def test_a_sigmoid_window() -> None:
    (row,) = greys(ct(HOUNSFIELD, WindowCenter=40, WindowWidth=80, VOILUTFunction="SIGMOID"))
    assert row == [round(255 / (1 + np.exp(-4 * (value - 40) / 80))) for value in HOUNSFIELD[0].astype(float)]


def test_rescaling_comes_before_the_window() -> None:
    stored = (HOUNSFIELD + 1024).astype(np.uint16)
    elements = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "WindowCenter": 40, "WindowWidth": 80}
    assert greys(ct(stored, **elements)) == greys(ct(HOUNSFIELD, WindowCenter=40, WindowWidth=80))


@pytest.mark.parametrize(("name", "first", "last"), [("lung", 60, 255), ("brain", 0, 255), ("temporal_bone", 0, 164)])
def test_a_window_that_is_asked_for_replaces_the_files(name: str, first: int, last: int) -> None:
    window = WINDOWS[name]
    (row,) = greys(ct(HOUNSFIELD, WindowCenter=0, WindowWidth=5), Rendering(window=window))
    low = window.center - window.width / 2
    assert row == [round(min(max((value - low) * 255 / window.width, 0), 255)) for value in HOUNSFIELD[0].tolist()]
    assert (row[0], row[-1]) == (first, last)


def test_without_a_window_the_files_own_percentiles_count() -> None:
    values = np.arange(1000, dtype=np.int16).reshape(10, 100)
    values[0, 0], values[-1, -1] = -32000, 32000  # an artefact that would leave nothing of the rest
    shown = np.ravel(greys(ct(values)))
    assert (shown[0], shown[10], shown[500], shown[-1]) == (0, 1, 128, 255)


@pytest.mark.parametrize("window", [{"WindowCenter": 40, "WindowWidth": 0}, {"WindowCenter": 40, "WindowWidth": "-3"}])
def test_a_window_of_nothing_is_none(window: dict[str, Any]) -> None:
    assert greys(ct(HOUNSFIELD, **window)) == greys(ct(HOUNSFIELD))


def test_all_the_same_is_black() -> None:
    assert greys(ct(np.full((2, 2), 7, dtype=np.uint16))) == [[0, 0], [0, 0]]


def test_monochrome1_is_inverted_and_padding_is_black() -> None:
    values = np.array([[-2000, -1000, 0, 1000]], dtype=np.int16)
    padded = {"PixelPaddingValue": -2000, "WindowCenter": 0.5, "WindowWidth": 2001}
    assert greys(ct(values, **padded)) == [[0, 0, 128, 255]]
    assert greys(ct(values, PhotometricInterpretation="MONOCHROME1", **padded)) == [[0, 255, 127, 0]]


def test_padding_does_not_count_for_the_percentiles() -> None:
    values = np.repeat(np.array([[-2000, -1999, 0, 100]], dtype=np.int16), 50, axis=0)
    data = ct(values, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1999)
    assert greys(data)[0] == [0, 0, 0, 255]


def test_a_voi_lut_counts_before_a_window() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [3, 10, 16], np.array([0, 65535, 32768], dtype=np.uint16).tobytes()
    data = ct(
        np.array([[0, 10, 11, 12, 99]], dtype=np.uint16),
        VOILUTSequence=Sequence([table]),
        WindowCenter=5,
        WindowWidth=5,
    )
    assert greys(data) == [[0, 0, 255, 128, 128]]


def test_a_modality_lut() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData, table.ModalityLUTType = [3, 0, 16], b"\x00\0\x64\0\xc8\0", "US"
    data = ct(np.array([[0, 1, 2]], dtype=np.uint16), ModalityLUTSequence=Sequence([table]))
    assert greys(data, Rendering(window=Window(100, 200))) == [[0, 128, 255]]


def test_bits_beyond_the_stored_ones_are_overlays() -> None:
    stored = np.array([[0x0000, 0x1FFF, 0xF000]], dtype=np.uint16)
    data = ct(stored, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096)
    assert greys(data) == [[0, 255, 0]]
