"""Accepted images and texts: each embedding equals the one that the engine computes itself."""

import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image

from model.engine import EmbeddingEngine
from tests.conftest import IMAGES
from tests.support.samples import (
    TEXT,
    Vector,
    assert_close,
    encoded,
    image_vector,
    picture,
    png,
    saved,
    table,
    text_vector,
    vectors,
)

BASE64 = encoded(png())
WRAPPED = base64.encodebytes(png()).decode()  # a newline every 76 characters
JPEG = saved(picture(), "JPEG")
ROTATED = Image.Exif()
ROTATED[0x0112] = 6  # turn by 90 degrees


async def embedded(client: httpx.AsyncClient, image: str) -> Vector:
    vector: Vector = vectors(await client.post("/embed", json=table(["image"], [[image]])), "image_features")[0]
    return vector


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BASE64, id="one line"),
        pytest.param(WRAPPED, id="a newline every 76 characters"),
        pytest.param(WRAPPED.replace("\n", "\r\n"), id="carriage returns too"),
        pytest.param(f"data:image/png;base64,{BASE64}", id="data URI"),
        pytest.param(f"data:image/png;name=a.png;base64,{WRAPPED}", id="data URI with a name and newlines"),
        pytest.param(f"data:;base64,{BASE64}", id="data URI without a type"),
    ],
)
async def test_every_spelling_of_base64(text: str, client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    assert_close(await embedded(client, text), image_vector(engine, png()))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(saved(picture(size=(1, 1))), id="1 x 1"),
        pytest.param(saved(picture(size=(2000, 3))), id="2000 x 3"),
        pytest.param(saved(picture().convert("CMYK"), "JPEG"), id="CMYK"),
        pytest.param(saved(picture().quantize(16)), id="palette"),
        pytest.param(saved(picture().convert("1")), id="1 bit"),
        pytest.param(saved(picture().convert("L")), id="grey"),
        pytest.param(saved(picture().convert("LA")), id="LA"),
        pytest.param(saved(picture().convert("RGBA")), id="RGBA"),
        pytest.param(saved(picture(), "BMP"), id="BMP"),
        pytest.param(saved(picture(), "WEBP", lossless=True), id="WebP"),
        pytest.param(saved(picture(), "TIFF", compression="tiff_lzw"), id="TIFF"),
        pytest.param((IMAGES / "fundus_cmyk.jpg").read_bytes(), id="a fundus photograph, CMYK"),
    ],
)
async def test_every_mode_and_format(data: bytes, client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    assert_close(await embedded(client, encoded(data)), image_vector(engine, data))


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
async def test_of_several_frames_or_pages_the_first_is_taken(
    kind: str, client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    pages = [picture(seed).quantize(16) for seed in range(3)]
    several = await embedded(client, encoded(saved(pages[0], kind, save_all=True, append_images=pages[1:])))
    assert_close(several, image_vector(engine, saved(pages[0], kind)))
    assert np.abs(several - image_vector(engine, saved(pages[1], kind))).max() > 1e-3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
async def test_16_bit_grey_is_scaled_to_its_own_range(
    kind: str, client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    grey = np.asarray(picture().convert("L"))
    eight_bit = saved(Image.fromarray(((grey - grey.min()) * (255 / np.ptp(grey))).round().astype(np.uint8)))
    sixteen_bit = saved(Image.fromarray(grey.astype(np.uint16) * 16 + 1000), kind)  # like the 12 bits of a scanner
    assert_close(await embedded(client, encoded(sixteen_bit)), image_vector(engine, eight_bit))


async def test_a_rotated_jpeg_is_taken_as_stored(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    rotated = saved(picture(), "JPEG", exif=ROTATED)
    assert Image.open(io.BytesIO(rotated)).getexif()[0x0112] == 6
    assert_close(await embedded(client, encoded(rotated)), image_vector(engine, JPEG))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a" * 100_000, id="100,000 characters"),
        pytest.param("chest " * 16_000, id="16,000 words"),
        pytest.param("left\0lung", id="NUL"),
        pytest.param("Röntgen 胸部X線 \U0001fa7b", id="letters of the world"),
        pytest.param(" ", id="a space"),
        pytest.param("<|endoftext|>", id="the name of a special token"),
    ],
)
async def test_every_text(text: str, client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    answer = await client.post("/embed", json=table(["text"], [[text]]))
    assert_close(vectors(answer, "text_features")[0], text_vector(engine, text))


async def test_text_past_the_context_length_is_cut(client: httpx.AsyncClient) -> None:
    body = table(["text"], [["chest " * 75], ["chest " * 75 + "and this is not read"], ["chest " * 74 + "this is"]])
    whole, longer, other = vectors(await client.post("/embed", json=body), "text_features")
    assert_close(longer, whole)
    assert np.abs(other - whole).max() > 1e-3


@pytest.mark.parametrize("nothing", ["", None])
async def test_an_empty_text_beside_an_image_is_a_missing_text(
    nothing: str | None, client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    (row,) = (await client.post("/embed", json=table(["image", "text"], [[BASE64, nothing]]))).json()
    assert row.keys() == {"image_features", "scaling_factor"}
    (row,) = (await client.post("/embed", json=table(["image", "text"], [[nothing, TEXT]]))).json()
    assert row.keys() == {"text_features", "scaling_factor"}
