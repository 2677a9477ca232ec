"""Arrays and Datasets, as the server shows them."""

import io
from typing import Any

import numpy as np
import pytest
from medimageinsight.images import image_bytes
from numpy.typing import NDArray
from PIL import Image

from model.imaging.images import decode
from model.imaging.rendering import AnyWindow, PercentileWindow, Rendering, Window
from tests.support.image_files.dicom import HOUNSFIELD, ct

MAX_PIXELS = 1_000_000
LUNG = Window(-600, 1500)
CT = np.arange(-1000, 1000, 5, dtype=np.int16).reshape(16, 25)


def shown(array: Any, window: AnyWindow | None = LUNG) -> NDArray[np.uint8]:
    """The picture that the server makes of what the client sends."""
    data = image_bytes(array, has_window=window is not None)
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(window=window)).convert("L"))


def windowed(values: NDArray[Any], window: Window) -> NDArray[Any]:
    """Greys of a linear window, DICOM PS3.3 C.11.2.1.2.1, computed for each value."""
    scaled = (values.astype(float) - (window.center - 0.5)) / (window.width - 1) + 0.5
    return np.clip(scaled, 0, 1) * 255


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64, np.dtype(">i2")])
def test_an_array_in_hounsfield_units_is_shown_in_its_window_and_as_stored(kind: Any) -> None:
    greys = shown(CT.astype(kind))
    assert greys.shape == CT.shape
    assert np.abs(greys - windowed(CT, LUNG)).max() <= 1


def test_an_unsigned_array_with_a_window_is_shown_in_it_too() -> None:
    values = np.arange(0, 4000, 10, dtype=np.uint16).reshape(16, 25)
    assert np.abs(shown(values, Window(1000, 800)) - windowed(values, Window(1000, 800))).max() <= 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_a_grey_array_is_shown_between_its_percentiles(kind: Any) -> None:
    values = np.arange(101).astype(kind).reshape(1, 101)  # so that percentile and value are the same number
    expected = np.clip((np.arange(101) - 10) / 80, 0, 1) * 255
    assert np.abs(shown(values, PercentileWindow(10, 90))[0] - expected).max() <= 1


def test_a_dataset_is_shown_like_its_file() -> None:
    import pydicom

    data = ct(HOUNSFIELD)
    dataset = pydicom.dcmread(io.BytesIO(data))
    expected = decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(window=LUNG))
    assert np.array_equal(shown(dataset), np.asarray(expected.convert("L")))


def test_eight_and_sixteen_bit_arrays_without_a_window_travel_as_png() -> None:
    for kind in (np.uint8, np.uint16):
        array = np.arange(64, dtype=kind).reshape(8, 8)
        picture = Image.open(io.BytesIO(image_bytes(array)))
        assert picture.format == "PNG"
        assert np.array_equal(np.asarray(picture), array)


@pytest.mark.parametrize("array", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2), bool), np.zeros((0, 4), np.uint8)])
def test_an_array_that_is_not_an_image_is_refused_by_its_shape_and_type(array: Any) -> None:
    with pytest.raises(ValueError, match=r"an array of shape \(.*\) and type \w+ is not an image"):
        image_bytes(array)


def test_an_object_that_is_not_an_image_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="a PIL image, an array or a pydicom Dataset, not dict"):
        image_bytes({})  # type: ignore[arg-type]
