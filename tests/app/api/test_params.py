"""Parameters of a request. The errors of bad parameters over HTTP are tested in `contract/test_renderings.py`."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from app.api.params import Params, ignored_params
from model.imaging.preprocessing import Preprocessing, Standardization
from model.imaging.rendering import WINDOWS, PercentileWindow, Rendering, Window


def test_the_documented_defaults() -> None:
    assert Params() == Params(
        get_scaling_factor=True,
        image_standardization_image_size=512,
        image_standardization_jpeg_compression_ratio=75,
        layout=None,
        on_error="request",
        truncate=True,
        frame=None,
        frames=None,
        axis="axial",
        dicom_window=None,
        contrast="none",
        normalize=True,
        encoding_format="float",
        output_dtype="float32",
    )


@pytest.mark.parametrize(("sent", "meant"), [("TRUE", True), ("False", False), (True, True), (False, False)])
def test_a_flag_is_a_boolean_or_its_name(sent: Any, meant: bool) -> None:
    assert Params(get_scaling_factor=sent).get_scaling_factor is meant


@pytest.mark.parametrize("sent", ["maybe", 1, 0, None, "1"])
def test_nothing_else_is_a_flag(sent: Any) -> None:
    with pytest.raises(ValidationError, match="valid boolean"):
        Params(normalize=sent)


@pytest.mark.parametrize("quality", [1, 95, 0, None])
def test_jpeg_qualities(quality: int | None) -> None:
    params = Params(image_standardization_jpeg_compression_ratio=quality)
    assert params.image_standardization_jpeg_compression_ratio == quality


@pytest.mark.parametrize("sent", ["lung", "-600,1500", [-600, 1500], ["-600", 1500.0]])
def test_a_window_is_a_name_or_two_numbers(sent: Any) -> None:
    window = Params.model_validate({"dicom_window": sent}).dicom_window
    assert window == Window(-600, 1500) == WINDOWS["lung"]


@pytest.mark.parametrize(
    ("sent", "window"),
    [
        ("percentile", PercentileWindow(0.5, 99.5)),
        ("p1-p99", PercentileWindow(1, 99)),
        ("p0-p99.9", PercentileWindow(0, 99.9)),
    ],
)
def test_a_window_may_lie_between_percentiles(sent: str, window: PercentileWindow) -> None:
    assert Params.model_validate({"dicom_window": sent}).preprocessing.rendering == Rendering(window=window)


def test_the_schema_describes_every_form_of_a_window() -> None:
    described = str(Params.model_json_schema()["properties"]["dicom_window"])
    assert all(f"'{name}'" in described for name in (*WINDOWS, "percentile", "p1-p99", "p5-p95"))
    percentiles, *_ = re.findall(r"'pattern': '(.*?)'", described)
    assert re.search(percentiles.replace("\\\\", "\\"), "p0.5-p99.5")


def test_contrast_is_none_or_equalize() -> None:
    assert Params.model_validate({"contrast": "equalize"}).preprocessing.rendering == Rendering(contrast="equalize")
    with pytest.raises(ValidationError, match="'none' or 'equalize'"):
        Params.model_validate({"contrast": "more"})


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(),
        Preprocessing(None),
        Preprocessing(Standardization(480, 95), Rendering(3, "coronal", Window(-600, 1500), "equalize")),
    ],
    ids=["usual", "plain", "all of it"],
)
def test_the_parameters_of_a_stored_preprocessing_have_its_effect(preprocessing: Preprocessing) -> None:
    assert Params.model_validate(preprocessing.params()).preprocessing == preprocessing


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("lungs", "known names are .*lung"),
        ("40", "known names are"),
        ([40], "the window must be a name, percentiles such as p1-p99, or .center, width."),
        ([40, "wide"], "the window must be a name, percentiles such as p1-p99, or .center, width."),
        ([40, 0], "width greater than 0"),
        ([float("nan"), 80], "must be finite"),
        (40, "the window must be a name, percentiles such as p1-p99, or .center, width."),
        ([10**400, 1], "the window must be a name, percentiles such as p1-p99, or .center, width."),
        ({"40": 1, "80": 2}, "the window must be a name, percentiles such as p1-p99, or .center, width."),
    ],
)
def test_values_that_are_not_a_window(sent: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Params.model_validate({"dicom_window": sent})


def test_a_picture_of_a_volume() -> None:
    assert Params(frame=3, axis="coronal").preprocessing.rendering == Rendering(3, "coronal", None)


def test_parameters_that_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="frame and frames exclude each other"):
        Params(frame=0, frames="all")
    with pytest.raises(ValidationError, match="int8 needs unit vectors"):
        Params(output_dtype="int8", normalize=False)


def test_unknown_params_are_noted() -> None:
    assert ignored_params({"params": {"layout": "rows", "temperature": 0.7, "top k": None}}) == ("temperature", "top k")
    assert ignored_params({"params": None}) == ignored_params({}) == ()
