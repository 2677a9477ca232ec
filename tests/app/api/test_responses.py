"""Layouts of an answer, and the precision of its numbers."""

import json
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.datastructures import Headers

from app.api.embed_job import EmbedJob
from app.api.execution import JobResult
from app.api.params import Params
from app.api.responses import embedding_response
from app.inference.items import Item
from tests.support.samples import TEXT, assert_refused, encoded, png, table

IMAGE = encoded(png())
BOTH = ["image", "text"]
AWKWARD = np.array([1 / 3, -1e-45, 1e-38, 3.4028235e38, 0.1, -0.0, 1.0, 16777217, np.pi * 1e-20], dtype=np.float32)


async def test_floats_round_trip_to_the_same_float32() -> None:
    random = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    for vector in (AWKWARD, random):
        job = EmbedJob(1, [Item(0, b"")], [], Params())
        result = JobResult(job, image_features=vector[None], text_features=np.empty((0, 0), np.float32))
        row = json.loads(
            bytes((await embedding_response(result, 4.513362407684326, Headers(), width=vector.size)).body)
        )[0]
        back = np.array(row["image_features"][0]).astype(np.float32)
        assert back.tobytes() == vector.tobytes()
        assert row["scaling_factor"] == 4.513362407684326


async def answered(client: httpx.AsyncClient, layout: str, columns: list[str], rows: list[Any], **params: Any) -> Any:
    answer = await client.post("/embed", json=table(columns, rows, params={"layout": layout, **params}))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_layout_parts_is_the_model_cards_sample(client: httpx.AsyncClient) -> None:
    rows = await answered(client, "rows", BOTH, [[IMAGE, "a"], [encoded(png(1)), "b"]])
    images, texts, scale = await answered(client, "parts", BOTH, [[IMAGE, "a"], [encoded(png(1)), "b"]])
    assert np.allclose(images["image_features"], [row["image_features"][0] for row in rows], atol=1e-6)
    assert np.allclose(texts["text_features"], [row["text_features"][0] for row in rows], atol=1e-6)
    assert (list(images), list(texts)) == (["image_features"], ["text_features"])
    assert scale == {"scaling_factor": rows[0]["scaling_factor"]}


async def test_layout_columns_is_the_product_documentations_sample(client: httpx.AsyncClient) -> None:
    columns = await answered(client, "columns", BOTH, [[IMAGE, "a"], [IMAGE, "b"]])
    assert list(columns) == ["image_features", "text_features", "scaling_factor"]
    assert np.shape(columns["image_features"]) == np.shape(columns["text_features"]) == (2, 128)


async def test_an_absent_part_is_left_out(client: httpx.AsyncClient) -> None:
    parts = await answered(client, "parts", ["text"], [[TEXT]], get_scaling_factor=False)
    assert [list(part) for part in parts] == [["text_features"]]
    columns = await answered(client, "columns", BOTH, [["", "a"], [None, "b"]])
    assert list(columns) == ["text_features", "scaling_factor"]


@pytest.mark.parametrize("layout", ["parts", "columns"])
@pytest.mark.parametrize(
    ("rows", "row", "column"),
    [
        ([[IMAGE, "a"], [IMAGE, ""], [IMAGE, "c"]], 1, "text"),
        ([[None, "a"], [IMAGE, "b"]], 0, "image"),
        ([[IMAGE, "a"], [IMAGE, "b"], ["", "c"]], 2, "image"),
    ],
)
async def test_a_layout_by_columns_takes_no_holes(
    layout: str, rows: list[Any], row: int, column: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/embed", json=table(BOTH, rows, params={"layout": layout}))
    assert_refused(answer, 400, "invalid_request", f"Row {row} has no {column}", layout, row=row, column=column)
    assert (await client.get("/info")).json()["counters"]["images"] == 0


@pytest.mark.parametrize(
    ("names", "header"),
    [
        (["temperature"], "temperature"),
        (["a", "top_k", "x.y-z"], "a, top_k, x.y-z"),
        (["a\r\nset-cookie: b=c"], "?"),
        (["a\nb", "ä", "", " ", "a b", "a,b", "\0", "x" * 65, "\ud800"], ", ".join("?" * 9)),
        ([f"p{number}" for number in range(1000)], ", ".join(f"p{number}" for number in range(20))),
    ],
)
async def test_unknown_params_are_listed_in_a_header_that_they_cannot_split(
    names: list[str], header: str, client: httpx.AsyncClient
) -> None:
    body = json.dumps(table(["text"], [[TEXT]], params=dict.fromkeys(names, 1)))
    answer = await client.post("/embed", content=body)
    assert answer.status_code == 200
    assert answer.headers.get_list("x-ignored-params") == [header]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/embed", "/embed/text", "/invocations"])
async def test_the_query_beside_json_is_ignored_by_name(path: str, client: httpx.AsyncClient) -> None:
    body = table(["text"], [[TEXT]], params={"layout": "rows", "speed": 1})
    answer = await client.post(f"{path}?frame=9&api-version=1", json=body)
    assert answer.headers["x-ignored-params"] == "speed, frame, api-version"


async def test_without_unknown_params_there_is_no_such_header(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json=table(["text"], [[TEXT]], params={"layout": "rows"}))
    assert "x-ignored-params" not in answer.headers
