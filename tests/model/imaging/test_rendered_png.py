"""Pictures as PNG files: what the encoder gets, and nothing else of the original."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from model.imaging.preprocessing import Standardization
from model.imaging.rendered_png import encode_png
from tests.support.samples import picture, saved


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png), formats=["PNG"])


def chunk_names(png: bytes) -> list[bytes]:
    names, place = [], 8
    while place < len(png):
        names.append(png[place + 4 : place + 8])
        place += 12 + int(struct.unpack_from(">I", png, place)[0])
    return names


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        *(("1", "L"), ("L", "L"), ("LA", "L"), ("P", "RGB"), ("PA", "RGB"), ("RGB", "RGB"), ("RGBA", "RGB")),
        *(("RGBX", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"), ("LAB", "RGB")),
    ],
)
def test_a_picture_of_any_mode_is_shown_with_the_encoders_colours(mode: str, shown: str) -> None:
    image = Image.new("LAB", (4, 3), (80, 10, 240)) if mode == "LAB" else picture(size=(4, 3)).convert(mode)
    png = opened(encode_png(image))
    assert png.mode == shown
    assert np.array_equal(np.asarray(png.convert("RGB")), np.asarray(image.convert("RGB")))


def test_alpha_is_left_out_as_the_encoder_leaves_it_out() -> None:
    transparent = picture().convert("RGBA")
    transparent.putalpha(0)
    assert np.array_equal(np.asarray(opened(encode_png(transparent))), np.asarray(picture()))
    palette = picture().quantize(4)
    palette.info["transparency"] = 2
    assert np.array_equal(np.asarray(opened(encode_png(palette))), np.asarray(palette.convert("RGB")))


def test_after_the_first_step_the_picture_is_the_jpeg() -> None:
    step = Standardization(size=24, jpeg_quality=50)
    for mode in ("L", "P", "RGB"):
        image = picture().convert(mode)
        png = opened(encode_png(image, step))
        assert np.array_equal(np.asarray(png), np.asarray(step(image)))


@pytest.mark.parametrize("step", [None, Standardization(size=16)])
def test_no_metadata_comes_along(step: Standardization | None) -> None:
    texts = PngInfo()
    texts.add_text("Comment", "Jane Doe")
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = saved(picture(), pnginfo=texts, exif=exif, icc_profile=profile, dpi=(300, 300), transparency=(1, 2, 3))
    assert set(chunk_names(file)) > {b"iCCP", b"eXIf", b"tEXt", b"pHYs", b"tRNS"}
    assert set(chunk_names(encode_png(opened(file), step))) == {b"IHDR", b"IDAT", b"IEND"}
