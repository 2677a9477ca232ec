"""`params.on_error: "row"` in every route, form of body and form of answer."""

import asyncio
import io
import json
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from fastapi import FastAPI

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import (
    TEXT,
    assert_refused,
    damaged,
    encoded,
    picture,
    png,
    saved,
    table,
)

BOTH = ["image", "text"]
GOOD = encoded(png(1))
ANSWERED = {"on_error": "row"}


def codes(answer: httpx.Response) -> dict[int, str]:
    """The codes of the bad rows, by row."""
    assert answer.status_code == 200, answer.text
    return {number: row["error"]["code"] for number, row in enumerate(answer.json()) if "error" in row}


@pytest.mark.parametrize("path", ["/embed", "/score", "/invocations", "/embed/image", "/embed/text"])
async def test_every_route_of_the_schema_answers_bad_rows(path: str, client: httpx.AsyncClient) -> None:
    column = "text" if path.endswith("text") else "image"
    good, bad = (TEXT, 7) if column == "text" else (GOOD, "not base64!")
    answer = await client.post(path, json=table([column], [[good], [bad], [good]], params=ANSWERED))
    assert [next(iter(row)) for row in answer.json()] == [f"{column}_features", "error", f"{column}_features"]
    assert answer.headers["x-failed-rows"] == "1"


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": BOTH, "data": [[GOOD, None], [TEXT], [None, TEXT]]}},
        {"dataframe_records": [{"image": GOOD}, {"age": 7}, {"text": TEXT}]},
        {"dataframe_records": [{"image": GOOD}, 7, {"text": TEXT}]},
    ],
)
async def test_mlflows_forms_answer_bad_rows(body: dict[str, Any], client: httpx.AsyncClient) -> None:
    body["params"] = ANSWERED
    answer = await client.post("/invocations", content=json.dumps(body), headers={"content-type": "application/json"})
    rows = answer.json()["predictions"]
    assert [next(iter(row)) for row in rows] == ["image_features", "error", "text_features"]
    assert rows[1]["error"]["code"] == "invalid_request"


async def test_texts_on_their_own(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/text", json={"texts": [TEXT, "", 7, "mri"], "params": ANSWERED})
    assert [answer.json()[row]["error"]["message"] for row in (1, 2)] == [
        "Row 1 has neither an image nor a text.",
        "Row 2, column text: the value must be a string or null.",
    ]
    answer = await client.post(
        "/embed/text?on_error=row", content="x" * 200_001, headers={"content-type": "text/plain"}
    )
    assert codes(answer) == {0: "text_too_long"}
    assert answer.headers["x-failed-rows"] == "1"


async def test_raw_images_and_forms(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/image?on_error=row", content=damaged(), headers={"content-type": "image/png"})
    assert codes(answer) == {0: "undecodable_image"}
    files = [("files", png(1)), ("files", damaged()), ("files", b""), ("files", png(2))]
    answer = await client.post("/embed/image", files=files, data={"on_error": "row"})
    assert [next(iter(row)) for row in answer.json()] == ["image_features", "error", "error", "image_features"]
    answer = await client.post("/embed?on_error=row", files=files, data={"text": [TEXT, TEXT]})
    assert [next(iter(row)) for row in answer.json()] == ["image_features", "error", "error", "image_features"]
    assert answer.headers["x-failed-rows"] == "2"


async def test_a_file_that_fails_is_one_bad_row_with_all_its_frames(client: httpx.AsyncClient) -> None:
    pages = saved(picture(1), "TIFF", save_all=True, append_images=[picture(2), picture(3)])
    cut = pages[:-4000]  # damaged behind its header
    rows = [[encoded(pages)], [encoded(cut)], ["not base64!"], [encoded(damaged())], [GOOD]]
    answer = await client.post("/embed/image", json=table(["image"], rows, params=ANSWERED | {"frames": "all"}))
    assert [len(row.get("image_features", ())) for row in answer.json()] == [3, 0, 0, 0, 1]
    assert codes(answer) == dict.fromkeys((1, 2, 3), "undecodable_image")
    assert answer.headers["x-failed-rows"] == "3"


@pytest.mark.parametrize("layout", ["parts", "columns"])
async def test_a_layout_without_rows_has_no_place_for_errors(layout: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json=table(["text"], [[TEXT]], params=ANSWERED | {"layout": layout}))
    assert_refused(answer, 400, "invalid_request", 'params.on_error "row"', '"rows" or "azure"', f'"{layout}"')


async def test_binary_answers_leave_bad_rows_out(client: httpx.AsyncClient) -> None:
    async def binary(kind: str, *rows: list[Any], **params: str) -> bytes:
        body = table(BOTH, [*rows], params=ANSWERED | params)
        answer = await client.post("/embed", json=body, headers={"accept": kind})
        assert (answer.status_code, answer.headers["content-type"], answer.headers["x-failed-rows"]) == (200, kind, "2")
        return answer.content

    some: list[list[Any]] = [["not base64!", TEXT], [GOOD, TEXT], [GOOD], [None, "mri"]]
    loaded = np.load(io.BytesIO(await binary("application/x-npy", *some)))
    assert [(int(row), str(kind)) for row, kind in zip(loaded["row"], loaded["kind"], strict=True)] == [
        (1, "image"), (1, "text"), (3, "text")
    ]  # fmt: skip
    archive = np.load(io.BytesIO(await binary("application/x-npz", *some)))
    assert [archive[name].tolist() for name in ("image_rows", "text_rows")] == [[1], [1, 3]]
    arrow = pa.ipc.open_stream(await binary("application/vnd.apache.arrow.stream", *some)).read_all()
    assert arrow["row"].to_pylist() == [1, 1, 3]


@pytest.mark.parametrize(("dtype", "width"), [("float32", 128), ("binary", 16)])
async def test_binary_answers_without_a_good_row_are_empty(dtype: str, width: int, client: httpx.AsyncClient) -> None:
    async def empty(kind: str) -> bytes:
        body = table(["text"], [[7], [8]], params=ANSWERED | {"output_dtype": dtype})
        answer = await client.post("/embed", json=body, headers={"accept": kind})
        assert (answer.status_code, answer.headers["x-failed-rows"]) == (200, "2"), answer.text
        return answer.content

    loaded = np.load(io.BytesIO(await empty("application/x-npy")))
    assert (len(loaded), loaded["embedding"].shape) == (0, (0, width))
    assert list(np.load(io.BytesIO(await empty("application/x-npz")))) == ["scaling_factor"]
    arrow = pa.ipc.open_stream(await empty("application/vnd.apache.arrow.stream")).read_all()
    assert (arrow.num_rows, arrow.schema.field("embedding").type.list_size) == (0, width)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"params": ANSWERED}, 400, "invalid_request"),
        (table(["text"], [], params=ANSWERED), 400, "invalid_request"),
        (table(["age"], [[7]], params=ANSWERED), 400, "invalid_request"),
        (table(["text"], [[7]] * 1025, params=ANSWERED), 413, "too_many_rows"),
        (table(["text"], [[7]], params={"on_error": "skip"}), 400, "invalid_request"),
    ],
)
async def test_what_concerns_the_whole_request_still_refuses_it(
    body: dict[str, Any], status: int, code: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/embed", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_too_many_frames_still_refuse_the_request(engine: EmbeddingEngine) -> None:
    app = create_app(Settings(max_rows=2, queue_size=2), LoadedModel(engine, imports_s=0.0))
    pages = saved(picture(1), "TIFF", save_all=True, append_images=[picture(2), picture(3)])
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        body = table(["image"], [[encoded(pages)]], params=ANSWERED | {"frames": "all"})
        assert_refused(await client.post("/embed/image", json=body), 413, "too_many_rows", "3 frames")


async def test_several_requests_of_many_rows_at_once(client: httpx.AsyncClient, app: FastAPI) -> None:
    rows = [["not base64!", TEXT] if number % 3 == 0 else [None, f"text {number % 10}"] for number in range(300)]
    body = table(BOTH, rows, params=ANSWERED)
    answers = await asyncio.gather(*(client.post("/embed", json=body) for _ in range(3)))
    for answer in answers:
        assert answer.headers["x-failed-rows"] == "100"
        assert ["error" in row for row in answer.json()] == [number % 3 == 0 for number in range(300)]
    assert app.state.service.admission.rows == 0
