"""`/similarity`: cosines of images and texts in all four combinations, and what is refused."""

from typing import Any

import httpx
import numpy as np
import pytest

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from model.imaging.preprocessing import Standardization
from tests.support.samples import TOLERANCE, assert_refused, damaged, encoded, image_vector, png, text_vector

FILES, TEXTS = [png(1), png(2)], ["mri", "x-ray chest", "ultrasound"]
IMAGES = [encoded(file) for file in FILES]
SIDES: list[dict[str, list[str]]] = [{"images": IMAGES}, {"texts": TEXTS}]


def vectors(engine: EmbeddingEngine, side: dict[str, list[str]]) -> Any:
    if "images" in side:
        return np.stack([image_vector(engine, file) for file in FILES]).astype(np.float64)
    return np.stack([text_vector(engine, text) for text in TEXTS]).astype(np.float64)


@pytest.mark.parametrize("a", SIDES, ids=["images", "texts"])
@pytest.mark.parametrize("b", SIDES, ids=["with images", "with texts"])
async def test_cosines_are_rows_of_a_by_columns_of_b(
    a: dict[str, list[str]], b: dict[str, list[str]], client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    answer = await client.post("/similarity", json={"a": a, "b": b})
    assert answer.status_code == 200, answer.text
    assert answer.json()["scaling_factor"] == engine.logit_scale
    assert np.array(answer.json()["similarity"]) == pytest.approx(vectors(engine, a) @ vectors(engine, b).T, abs=1e-4)


async def test_an_entry_is_one_with_itself(client: httpx.AsyncClient) -> None:
    answer = await client.post("/similarity", json={"a": {"images": IMAGES[:1]}, "b": {"images": IMAGES[:1]}})
    assert answer.json()["similarity"] == [[pytest.approx(1, abs=TOLERANCE)]]


async def test_images_are_preprocessed_as_the_parameters_say(
    client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    params = {"image_standardization_image_size": 64, "layout": "rows"}
    body = {"a": {"images": IMAGES[:1]}, "b": {"texts": TEXTS}, "params": params}
    answer = await client.post("/similarity", json=body)
    right = image_vector(engine, FILES[0], Standardization(64)) @ vectors(engine, SIDES[1]).T
    assert answer.json()["similarity"][0] == pytest.approx(right.tolist(), abs=1e-4)
    assert answer.headers["x-ignored-params"] == "layout"


@pytest.mark.parametrize("window", ["lung", "p5-p95", "percentile", [40, 80]], ids=str)
async def test_a_window_may_have_every_form(window: Any, client: httpx.AsyncClient) -> None:
    body = {"a": SIDES[0], "b": SIDES[1], "params": {"dicom_window": window}}
    assert (await client.post("/similarity", json=body)).status_code == 200


async def test_long_texts_are_cut_and_counted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/similarity", json={"a": {"texts": ["long " * 200]}, "b": {"texts": ["short"]}})
    assert answer.headers["x-truncated-texts"] == "1"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "The body is a JSON list; the smallest body of /similarity is"),
        ({"a": {"texts": TEXTS}}, "b is missing"),
        ({"a": {}, "b": {"texts": TEXTS}}, "a.images is missing"),
        ({"a": {"texts": TEXTS}, "b": {"texts": TEXTS, "images": IMAGES}}, "b must have either images or texts"),
        ({"a": {"texts": []}, "b": {"texts": TEXTS}}, "a.texts is empty"),
        ({"a": {"texts": TEXTS}, "b": {"texts": TEXTS}, "params": {"frames": "all"}}, "params.frames is wrong"),
    ],
    ids=["list", "one side", "empty side", "both kinds", "no texts", "frames"],
)
async def test_a_body_of_the_wrong_shape_is_refused(body: Any, sentence: str, client: httpx.AsyncClient) -> None:
    assert_refused(await client.post("/similarity", json=body), 400, "invalid_request", sentence)


@pytest.mark.parametrize(
    ("a", "b", "code", "message", "place"),
    [
        (SIDES[0], {"images": [IMAGES[0], encoded(damaged())]}, "undecodable_image", "b.images[1]: ", ("b.images", 1)),
        ({"images": ["!", *IMAGES]}, SIDES[0], "undecodable_image", "a.images[0]: ", ("a.images", 0)),
        (SIDES[0], {"texts": ["fine", "x" * 200_001]}, "text_too_long", "b.texts[1]: the text has", ("b.texts", 1)),
    ],
    ids=["an image of b", "an image of a", "a text of b"],
)
async def test_a_bad_entry_is_named_with_its_side(
    a: Any, b: Any, code: str, message: str, place: tuple[str, int], client: httpx.AsyncClient
) -> None:
    answer = await client.post("/similarity", json={"a": a, "b": b})
    status = 413 if code == "text_too_long" else 400
    assert_refused(answer, status, code, message, column=place[0], row=place[1])


async def test_an_entry_that_is_no_string_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/similarity", json={"a": {"texts": TEXTS}, "b": {"texts": ["x", 7]}})
    assert_refused(answer, 400, "invalid_request", "b.texts[1] must be a string", row=1)


async def test_both_sides_together_have_at_most_max_rows(engine: EmbeddingEngine) -> None:
    app = create_app(Settings(max_rows=4), LoadedModel(engine, 0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        body = {"a": {"texts": TEXTS}, "b": {"texts": TEXTS[:2]}}
        answer = await client.post("/similarity", json=body)
        assert_refused(answer, 413, "too_many_rows", "a and b have 5 entries, at most 4 are allowed")
