"""Plain and standardized preprocessing, compared with the same steps done by Pillow directly."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.imaging.images import decode
from model.imaging.preprocessing import DEFAULT_JPEG_QUALITY, DEFAULT_SIZE, Preprocessing, Standardization, preprocess
from model.imaging.rendering import WINDOWS, PercentileWindow, Rendering
from tests.conftest import IMAGES

FILES = sorted(file.name for file in IMAGES.iterdir())


def through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


@pytest.mark.parametrize("name", FILES)
def test_plain_is_rgb_and_a_bicubic_resize(name: str) -> None:
    image = Image.open(IMAGES / name)
    expected = image.convert("RGB").resize((480, 480), resample=Image.Resampling.BICUBIC)
    assert np.array_equal(preprocess(image, (480, 480), None), np.asarray(expected))


@pytest.mark.parametrize("name", FILES)
def test_standardized_is_what_the_azure_endpoint_does(name: str) -> None:
    image = Image.open(IMAGES / name)
    small = image.resize((512, 512))  # in its own mode: Pillow does not interpolate palette indices
    expected = through_jpeg(small.convert("RGB"), quality=75).resize((480, 480), resample=Image.Resampling.BICUBIC)
    assert np.array_equal(preprocess(image, (480, 480), Standardization()), np.asarray(expected))
    assert (DEFAULT_SIZE, DEFAULT_JPEG_QUALITY) == (512, 75)


@pytest.mark.parametrize(("size", "quality"), [(480, 95), (1, 1), (64, 10), (1000, 50)])
def test_size_and_jpeg_quality_may_be_others(size: int, quality: int) -> None:
    image = Image.open(IMAGES / "fundus_rgb.jpg")
    expected = through_jpeg(image.resize((size, size)), quality).resize((96, 96), resample=Image.Resampling.BICUBIC)
    standardization = Standardization(size=size, jpeg_quality=quality)
    assert np.array_equal(preprocess(image, (96, 96), standardization), np.asarray(expected))


@pytest.mark.parametrize("standardization", [None, Standardization(), Standardization(size=7, jpeg_quality=1)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (33, 90)])
def test_pixels_have_the_encoders_height_and_width(
    standardization: Standardization | None, shape: tuple[int, int]
) -> None:
    pixels = preprocess(Image.new("L", shape, 128), (48, 32), standardization)
    assert pixels.shape == (48, 32, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - 128).max() <= 1


@pytest.mark.filterwarnings(
    "ignore:Palette images with Transparency"
)  # Pillow advises RGBA; the reference implementation does not use it
@pytest.mark.parametrize("standardization", [None, Standardization(size=16)])
@pytest.mark.parametrize(
    ("mode", "options"),
    [("1", {}), ("L", {"transparency": 3}), ("LA", {}), ("P", {"transparency": bytes(range(100))}), ("RGBA", {})],
)
def test_transparency_is_dropped(standardization: Standardization | None, mode: str, options: dict[str, Any]) -> None:
    stream = io.BytesIO()
    Image.linear_gradient("L").convert(mode).save(stream, "PNG", **options)
    image = decode(stream.getvalue(), max_pixels=256 * 256)
    assert preprocess(image, (8, 8), standardization).shape == (8, 8, 3)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "HSV", "RGBX", "RGBa", "PA"])
def test_every_8_bit_mode_becomes_rgb(mode: str) -> None:
    for standardization in (None, Standardization(size=16)):
        assert preprocess(Image.new(mode, (9, 9)), (8, 8), standardization).shape == (8, 8, 3)


def test_a_comment_longer_than_jpeg_allows_does_no_harm() -> None:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "GIF", comment=b"x" * 70_000)
    image = decode(stream.getvalue(), max_pixels=64)
    assert len(image.info["comment"]) == 70_000
    assert not preprocess(image, (8, 8), Standardization()).any()


@pytest.mark.parametrize("standardization", [None, Standardization(size=8, jpeg_quality=95)])
def test_the_picture_and_its_pixels_share_no_memory(standardization: Standardization | None) -> None:
    image = Image.new("RGB", (8, 8), "white")
    pixels = preprocess(image, (8, 8), standardization)
    image.paste("black", (0, 0, 8, 8))
    assert (pixels == 255).all()
    assert not preprocess(image, (8, 8), standardization).any()


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(),
        Preprocessing(None),
        Preprocessing(Standardization(480, 95), Rendering(3, "coronal", WINDOWS["lung"])),
        Preprocessing(rendering=Rendering(window=PercentileWindow(1.0, 99.0), contrast="equalize")),
    ],
    ids=["usual", "plain", "a slice in a window", "percentiles and contrast"],
)
def test_a_preprocessing_is_stored_as_the_parameters_of_a_request(preprocessing: Preprocessing) -> None:
    stored = json.loads(json.dumps(preprocessing.params()))
    assert Preprocessing.from_params(stored) == preprocessing
    assert repr(Preprocessing.from_params(stored)) == repr(preprocessing)  # in the key of the embedding cache


def test_parameters_that_are_missing_have_their_defaults() -> None:
    assert Preprocessing.from_params({}) == Preprocessing()
    quality = "image_standardization_jpeg_compression_ratio"
    assert Preprocessing.from_params({quality: None}) == Preprocessing.from_params({quality: 0}) == Preprocessing(None)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("image_standardization_image_size", [0, 4097, "512", None, 1.5, True]),
        ("image_standardization_jpeg_compression_ratio", [-1, 96, "75", False]),
        ("frame", [-1, "0", True]),
        ("axis", ["oblique", None, ["axial"]]),
        ("dicom_window", ["lungs", [1], {}, 7]),
        ("contrast", ["more", None]),
    ],
)
def test_parameters_that_cannot_be_used_are_named(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"^the value of {name} cannot be used"):
            Preprocessing.from_params({name: value})
