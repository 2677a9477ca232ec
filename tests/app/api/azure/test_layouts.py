"""The layout `azure`, and the setting LAYOUT that replaces the default."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_close, assert_refused, encoded, picture, png, saved, table, text_vector

IMAGE = encoded(png())
BOTH = ["image", "text"]
WIDTH = 128


@asynccontextmanager
async def serving(engine: EmbeddingEngine, layout: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(layout=layout), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        yield client


def shapes(row: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shape of each value of a row: () for a number or a string."""
    return {name: np.shape(value) for name, value in row.items()}


IMAGE_ROW, TEXT_ROW = {"image_features": (1, WIDTH)}, {"text_features": (WIDTH,)}
SCALE: dict[str, tuple[int, ...]] = {"scaling_factor": ()}


@pytest.mark.parametrize("path", ["/embed", "/score", "/invocations"])
async def test_layout_azure_has_flat_texts(path: str, client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    rows = [[IMAGE, TEXT], [None, "mri"], [IMAGE, ""]]
    answer = await client.post(path, json=table(BOTH, rows, params={"layout": "azure"}))
    assert [shapes(row) for row in answer.json()] == [
        IMAGE_ROW | TEXT_ROW | SCALE,
        TEXT_ROW | SCALE,
        IMAGE_ROW | SCALE,
    ]
    assert_close(np.array(answer.json()[1]["text_features"], np.float32), text_vector(engine, "mri"))


async def test_layout_azure_in_base64_and_other_number_formats(client: httpx.AsyncClient) -> None:
    params = {"layout": "azure", "encoding_format": "base64", "output_dtype": "float16", "get_scaling_factor": False}
    (row,) = (await client.post("/embed", json=table(BOTH, [[IMAGE, TEXT]], params=params))).json()
    assert shapes(row) == {"image_features": (1,), "text_features": ()}
    assert len(base64.b64decode(row["text_features"])) == len(base64.b64decode(row["image_features"][0])) == 2 * WIDTH


async def test_layout_azure_answers_bad_rows_and_all_frames(client: httpx.AsyncClient) -> None:
    params: dict[str, Any] = {"layout": "azure", "on_error": "row"}
    answer = await client.post("/embed/text", json={"texts": [7, TEXT], "params": params})
    assert [list(row) for row in answer.json()] == [["error"], ["text_features", "scaling_factor"]]
    pages = saved(picture(1), "TIFF", save_all=True, append_images=[picture(2)])
    answer = await client.post(
        "/embed/image", json=table(["image"], [[encoded(pages)]], params=params | {"frames": "all"})
    )
    assert shapes(answer.json()[0]) == {"image_features": (2, WIDTH)} | SCALE


async def test_the_setting_layout_is_the_default_of_every_form_of_request(engine: EmbeddingEngine) -> None:
    async with serving(engine, "azure") as client:
        json_rows = await client.post("/embed", json=table(BOTH, [[IMAGE, TEXT]]))
        assert shapes(json_rows.json()[0]) == IMAGE_ROW | TEXT_ROW | SCALE
        null = await client.post("/score", json=table(["text"], [[TEXT]], params={"layout": None}))
        listed = await client.post("/embed/text", json={"texts": [TEXT]})
        plain = await client.post("/embed/text", content=TEXT, headers={"content-type": "text/plain"})
        form = await client.post("/embed", files=[("text", (None, TEXT))])
        for answer in (null, listed, plain, form):
            assert shapes(answer.json()[0]) == TEXT_ROW | SCALE
        raw = await client.post("/embed/image", content=png(), headers={"content-type": "image/png"})
        assert shapes(raw.json()[0]) == IMAGE_ROW | SCALE
        mlflow = await client.post("/invocations", json={"dataframe_records": [{"text": TEXT}]})
        assert shapes(mlflow.json()["predictions"][0]) == TEXT_ROW | SCALE


async def test_a_request_has_priority_over_the_setting(engine: EmbeddingEngine) -> None:
    async with serving(engine, "columns") as client:
        assert list((await client.post("/embed/text", json={"texts": [TEXT]})).json()) == [
            "text_features",
            "scaling_factor",
        ]
        body = {"texts": [TEXT], "params": {"layout": "rows"}}
        assert shapes((await client.post("/embed/text", json=body)).json()[0]) == {"text_features": (1, WIDTH)} | SCALE
        plain = await client.post("/embed/text?layout=azure", content=TEXT, headers={"content-type": "text/plain"})
        assert shapes(plain.json()[0]) == TEXT_ROW | SCALE
        refused = await client.post("/embed/text", json={"texts": [TEXT], "params": {"on_error": "row"}})
        assert_refused(
            refused, 400, "invalid_request", 'on_error "row" needs the layout "rows" or "azure", not "columns"'
        )


async def test_schemas_with_a_fixed_answer_have_no_layout(engine: EmbeddingEngine) -> None:
    async with serving(engine, "azure") as client:
        answer = await client.post("/v1/embeddings", json={"input": [TEXT]})
        assert np.shape(answer.json()["data"][0]["embedding"]) == (WIDTH,)


async def test_the_setting_layout_does_not_concern_other_forms_of_an_answer(engine: EmbeddingEngine) -> None:
    headers = {"accept": "application/x-npz"}
    rows = [[IMAGE, TEXT], ["", TEXT]]
    async with serving(engine, "columns") as client:
        answer = await client.post("/embed", json=table(BOTH, rows, params={"on_error": "row"}), headers=headers)
        assert answer.status_code == 200, answer.text
        assert_refused(
            await client.post("/embed", json=table(BOTH, rows)), 400, "invalid_request", row=1, column="image"
        )
