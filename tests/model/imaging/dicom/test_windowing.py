"""Modality and VOI LUTs, rescaling and windows (PS3.3 C.11.1 and C.11.2)."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from pydicom.dataset import Dataset

from model.imaging.dicom.pixels import render_frame
from model.imaging.rendering import WINDOWS, AnyWindow, PercentileWindow, Rendering, Window
from tests.support.image_files.dicom import HOUNSFIELD, ct, greys
from tests.support.image_files.dicom_elements import empty, header, lookup_table, sequence, words

WINDOW: dict[str, Any] = {"WindowCenter": ("DS", b"100.5"), "WindowWidth": ("DS", b"201")}  # 0 to 200


def shown(
    stored: ArrayLike,
    window: AnyWindow | None = None,
    lut: Dataset | None = None,
    modality_lut: Dataset | None = None,
    **elements: Any,
) -> Any:
    """The greys of stored values.

    Args:
        stored: the values; lists become unsigned ones of 16 bits.
        window: the user's window or percentiles.
        lut, modality_lut: the file's VOI LUT and modality LUT.
        **elements: further elements of the header.
    """
    dataset = header(**elements)
    if lut is not None:
        dataset.VOILUTSequence = sequence(lut)
    if modality_lut is not None:
        dataset.ModalityLUTSequence = sequence(modality_lut)
    values = np.asarray(stored, None if isinstance(stored, np.ndarray) else np.uint16)
    return render_frame(np.atleast_2d(values), dataset, window).ravel().tolist()


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


@pytest.mark.parametrize("center", [b"text", b"1.#INF", b"nan", b"", b"\\"])
def test_an_unreadable_window_is_ignored(center: bytes) -> None:
    assert shown(HOUNSFIELD, WindowCenter=("DS", center), WindowWidth=("DS", b"80")) == shown(HOUNSFIELD)


@pytest.mark.parametrize(
    ("width", "function"),
    [(b"0", b""), (b"-3", b""), (b"0.5", b"LINEAR"), (b"0", b"LINEAR_EXACT"), (b"-1", b"SIGMOID")],
)
def test_a_window_whose_width_its_function_does_not_allow_is_ignored(width: bytes, function: bytes) -> None:
    window: dict[str, Any] = {"WindowCenter": ("DS", b"40"), "WindowWidth": ("DS", width)}
    assert shown(HOUNSFIELD, VOILUTFunction=("CS", function), **window) == shown(HOUNSFIELD)


def test_the_first_readable_window_is_taken() -> None:
    windows: dict[str, Any] = {"WindowCenter": ("DS", b"wide\\0\\40"), "WindowWidth": ("DS", b"400\\0\\80")}
    assert shown(HOUNSFIELD, **windows) == shown(HOUNSFIELD, WindowCenter=("DS", b"40"), WindowWidth=("DS", b"80"))


def test_a_decimal_comma_is_a_point() -> None:
    assert shown([0, 25, 50], WindowCenter=("DS", b"25,5"), WindowWidth=("DS", b"51,0")) == [0, 128, 255]
    half: dict[str, Any] = {"RescaleSlope": ("DS", b"0,5"), "RescaleIntercept": ("DS", b"0,0")}
    assert shown([0, 50, 100], WindowCenter=("DS", b"25,5"), WindowWidth=("DS", b"51"), **half) == [0, 128, 255]


def test_a_linear_window_of_width_1_is_a_threshold() -> None:
    assert shown([999, 1000, 1001], WindowCenter=("DS", b"1000"), WindowWidth=("DS", b"1")) == [0, 255, 255]
    assert shown([0, 1], WindowCenter=("DS", b"0.5"), WindowWidth=("DS", b"1")) == [0, 255]


@pytest.mark.parametrize("function", [b"", b"LINEAR", b"linear", b"LOGARITHMIC"])
def test_an_unknown_voi_lut_function_is_linear(function: bytes) -> None:
    window: dict[str, Any] = {"WindowCenter": ("DS", b"40"), "WindowWidth": ("DS", b"80")}
    assert shown(HOUNSFIELD, VOILUTFunction=("CS", function), **window) == shown(HOUNSFIELD, **window)


def test_the_name_of_a_voi_lut_function_may_be_in_lower_case() -> None:
    window: dict[str, Any] = {"WindowCenter": ("DS", b"1"), "WindowWidth": ("DS", b"2")}
    assert shown([0, 1, 2], VOILUTFunction=("CS", b"linear_exact "), **window) == [0, 128, 255]


def test_a_frame_of_one_value_is_black() -> None:
    assert greys(ct(np.full((2, 2), 7, dtype=np.uint16))) == [[0, 0], [0, 0]]


@pytest.mark.parametrize("empty", [None, b"", b" ", b"text"])
def test_an_absent_slope_is_1_and_an_absent_intercept_0(empty: bytes | None) -> None:
    absent: dict[str, Any] = {} if empty is None else {"RescaleSlope": ("DS", empty)}
    assert shown([50, 150, 250], RescaleIntercept=("DS", b"-50"), **WINDOW, **absent) == [0, 128, 255]
    absent = {} if empty is None else {"RescaleIntercept": ("DS", empty)}
    assert shown([0, 50, 100], RescaleSlope=("DS", b"2"), **WINDOW, **absent) == [0, 128, 255]


def test_a_slope_of_0_is_ignored_together_with_its_intercept() -> None:
    rescale: dict[str, Any] = {"RescaleSlope": ("DS", b"0"), "RescaleIntercept": ("DS", b"500")}
    assert shown([0, 100, 200], **rescale, **WINDOW) == [0, 128, 255]


def test_a_negative_slope_is_not_undone() -> None:
    rescale: dict[str, Any] = {"RescaleSlope": ("DS", b"-1"), "RescaleIntercept": ("DS", b"200")}
    assert shown([0, 100, 200], **rescale, **WINDOW) == [255, 128, 0]
    assert shown([0, 100, 200], **rescale) == [255, 128, 0]


def test_absurd_numbers_do_no_harm() -> None:
    rescale: dict[str, Any] = {"RescaleSlope": ("DS", b"1e300"), "RescaleIntercept": ("DS", b"-1e300")}
    assert shown([0, 65535], **rescale, VOILUTFunction=("CS", b"SIGMOID"), **WINDOW) == [0, 255]
    tiny: dict[str, Any] = {"WindowCenter": ("DS", b"0"), "WindowWidth": ("DS", b"1e-320")}
    assert shown([0, 65535], VOILUTFunction=("CS", b"LINEAR_EXACT"), **tiny) == [128, 255]


def test_a_voi_lut_takes_precedence_over_a_window() -> None:
    assert shown([0, 10, 11, 12, 99], lut=lookup_table([0, 65535, 32768], first=10), **WINDOW) == [0, 0, 255, 128, 128]


@pytest.mark.parametrize("first", [-1024, 64512])
@pytest.mark.parametrize("vr", ["US", "SS", None])
def test_the_rescaled_values_decide_the_sign_of_a_voi_lut(vr: str | None, first: int) -> None:
    table = header(LUTDescriptor=(vr, words([3, first, 8])), LUTData=("OW", words([0, 128, 255])))
    rescale: dict[str, Any] = {"RescaleSlope": ("DS", b"1"), "RescaleIntercept": ("DS", b"-1024")}
    assert shown(np.array([0, 1, 2], np.uint16), lut=table, **rescale) == [0, 128, 255]


@pytest.mark.parametrize("vr", ["US", "SS", None])
def test_unsigned_values_have_an_unsigned_voi_lut(vr: str | None) -> None:
    table = header(LUTDescriptor=(vr, words([3, 40000, 8])), LUTData=("OW", words([0, 128, 255])))
    assert shown(np.array([40000, 40001, 40002], np.uint16), lut=table) == [0, 128, 255]


@pytest.mark.parametrize("declared_bits", [8, 9, 12, 16])
def test_the_largest_entry_of_a_voi_lut_is_white_whatever_bits_it_declares(declared_bits: int) -> None:
    assert shown([0, 1, 2], lut=lookup_table([0, 2048, 4095], bits=declared_bits)) == [0, 128, 255]


@pytest.mark.parametrize("element", ["LUTDescriptor", "LUTData"])
def test_an_empty_voi_lut_is_ignored(element: str) -> None:
    for table in (empty(lookup_table([255, 0, 0]), element), header()):
        assert shown([0, 100, 200], lut=table, **WINDOW) == [0, 128, 255]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_modality_lut_is_applied(bits: int) -> None:
    largest = 2**bits - 1
    table = lookup_table([0, largest // 2, largest], bits=bits)
    whole = Window(largest / 2, largest)
    assert shown([0, 1, 2], whole, modality_lut=table) == [0, round(largest // 2 / largest * 255), 255]
    ignored: dict[str, Any] = {"RescaleSlope": ("DS", b"-5"), "RescaleIntercept": ("DS", b"7")}
    assert shown([0, 1, 2], whole, modality_lut=table, **ignored) == shown([0, 1, 2], whole, modality_lut=table)


def test_a_modality_lut_of_65536_entries_begins_at_the_smallest_signed_value() -> None:
    table = lookup_table(np.arange(65536), first=-32768)
    stored = np.array([-32768, 0xDF, 32767], np.int16)
    assert shown(stored, Window(32767.5, 65535), modality_lut=table) == [0, 128, 255]


def test_the_percentiles_are_those_of_the_values_behind_a_modality_lut() -> None:
    assert shown([0, 1, 2], modality_lut=lookup_table([0, 200, 100])) == [0, 255, 128]


def test_an_empty_modality_lut_is_ignored() -> None:
    assert shown([0, 50, 100], modality_lut=header(), RescaleSlope=("DS", b"2"), **WINDOW) == [0, 128, 255]


def test_a_frame_of_floats_is_shown() -> None:
    assert shown(np.array([0, np.nan, 0.5, 1, np.inf], np.float32)) == [0, 0, 128, 255, 255]


RISING = np.arange(101, dtype=np.uint16)  # so that percentile and value are the same number


def between(low: int, high: int, values: Any = RISING) -> Any:
    """Greys of the values in the range, which pytest compares within one."""
    return pytest.approx(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255, abs=0.6)


def test_percentiles_replace_the_window_and_the_lut_of_the_file() -> None:
    lut = lookup_table([0, 65535])
    assert shown(RISING, PercentileWindow(10, 90), **WINDOW) == between(10, 90)
    assert shown(RISING, PercentileWindow(10, 90), lut) == between(10, 90)
    assert shown(RISING, PercentileWindow()) == shown(RISING)  # "percentile" is what a file without a window gets


def test_percentiles_are_those_of_the_rescaled_values() -> None:
    slope, intercept = ("DS", b"-2"), ("DS", b"7")
    greys = shown(RISING, PercentileWindow(0, 90), RescaleSlope=slope, RescaleIntercept=intercept)
    assert greys == between(0, 90, 100 - RISING)
    table = lookup_table(np.arange(1000, -1, -10))
    assert shown(RISING, PercentileWindow(0, 90), modality_lut=table) == greys


def test_padding_does_not_count_for_percentiles() -> None:
    padded = np.append(RISING, np.full(900, 5000, np.uint16))
    greys = shown(padded, PercentileWindow(10, 90), PixelPaddingValue=("US", words([5000])))
    assert greys[:101] == shown(RISING, PercentileWindow(10, 90))
    assert set(greys[101:]) == {0}
