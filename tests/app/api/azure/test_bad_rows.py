"""`params.on_error: "row"`: a bad row is answered in its place, and all others are computed."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from model.errors import DecoderFailed, ImageTooCostly, InvalidInput, OutOfMemory
from model.imaging.images import open_image
from tests.support.held_engine import HeldEngine
from tests.support.patience import PATIENCE_S
from tests.support.samples import (
    TEXT,
    damaged,
    encoded,
    huge_png,
    png,
    table,
)

BOTH = ["image", "text"]
GOOD = encoded(png(1))
ANSWERED = {"on_error": "row"}
TRUNCATED = "chest " * 100

BAD = {
    "undecodable_image": encoded(damaged()),
    "unsupported_image_format": encoded(b"%PDF-1.7 a document"),
    "image_too_large": encoded(huge_png()),
    "url_not_allowed": "https://example.org/a.png",
}
"""Images that are bad, by the code of their error."""
BAD_ROWS: dict[str, tuple[Any, str]] = {
    **{code: ([image, TEXT], code) for code, image in BAD.items()},
    "bad base64": (["not base64!", TEXT], "undecodable_image"),
    "an image that is bad on its own": ([encoded(damaged()), None], "undecodable_image"),
    "a text with half a character": ([GOOD, "\ud800"], "invalid_text"),
    "a text that is too long": ([GOOD, "x" * 200_001], "text_too_long"),
    "neither an image nor a text": (["", None], "invalid_request"),
    "a list that is too short": ([GOOD], "invalid_request"),
    "a list that is too long": ([GOOD, TEXT, TEXT], "invalid_request"),
    "an object without a key": ({"image": GOOD}, "invalid_request"),
    "an object with a key too many": ({"image": GOOD, "text": TEXT, "age": 7}, "invalid_request"),
    "no list": (7, "invalid_request"),
    "null": (None, "invalid_request"),
    "a number instead of a text": ([GOOD, 7], "invalid_request"),
    "a list instead of an image": ([[GOOD], TEXT], "invalid_request"),
}


def error_of(answer: httpx.Response, row: int) -> tuple[str, str]:
    """The code and the message of a row that has only an error."""
    assert answer.status_code == 200, answer.text
    error = answer.json()[row]
    assert list(error) == ["error"]
    assert list(error["error"]) == ["code", "message"]
    return error["error"]["code"], error["error"]["message"]


@pytest.mark.parametrize("name", BAD_ROWS)
async def test_a_bad_row_is_answered_in_its_place(
    name: str, client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    row, code = BAD_ROWS[name]
    body = json.dumps(table(BOTH, [[GOOD, TEXT], row, [None, "mri brain"]], params=ANSWERED))
    answer = await client.post("/embed", content=body, headers={"content-type": "application/json"})
    found, message = error_of(answer, 1)
    assert (found, message[:5], message[-1]) == (code, "Row 1", ".")
    assert answer.headers["x-failed-rows"] == "1"
    first, _, last = answer.json()
    assert [list(first), list(last)] == [
        ["image_features", "text_features", "scaling_factor"],
        ["text_features", "scaling_factor"],
    ]
    refused = await client.post(
        "/embed", content=body.replace('"row"', '"request"'), headers={"content-type": "application/json"}
    )
    assert (refused.json()["code"], refused.json()["message"]) == (code, message)
    assert "x-failed-rows" not in refused.headers


async def test_an_answer_without_a_bad_row_is_the_usual_one(client: httpx.AsyncClient) -> None:
    rows = [[GOOD, TEXT], [None, TEXT]]
    usual = await client.post("/embed", json=table(BOTH, rows))
    answer = await client.post("/embed", json=table(BOTH, rows, params=ANSWERED))
    assert answer.json() == usual.json()
    assert "x-failed-rows" not in answer.headers


async def test_all_rows_may_be_bad(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json=table(["image"], [[image] for image in BAD.values()], params=ANSWERED))
    assert [error_of(answer, row)[0] for row in range(len(BAD))] == list(BAD)
    assert answer.headers["x-failed-rows"] == str(len(BAD))
    info = (await client.get("/info")).json()
    assert info["counters"]["images"] == 0


@pytest.mark.parametrize("error", [DecoderFailed, ImageTooCostly, OutOfMemory])
async def test_what_the_decoders_refuse_is_a_bad_row(
    error: type[InvalidInput], client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(data: Any, *args: Any, **kwargs: Any) -> Any:
        if data == png(2):
            raise error("the image is special")
        return open_image(data, *args, **kwargs)

    monkeypatch.setattr("app.decoding.decoder.open_image", decode)
    answer = await client.post("/embed", json=table(["image"], [[GOOD], [encoded(png(2))], [GOOD]], params=ANSWERED))
    code = {DecoderFailed: "decoder_failed", ImageTooCostly: "image_too_costly", OutOfMemory: "out_of_memory"}[error]
    assert error_of(answer, 1) == (code, "Row 1, column image: the image is special.")
    assert [next(iter(row)) for row in answer.json()] == ["image_features", "error", "image_features"]


@pytest.fixture
async def held(engine: EmbeddingEngine) -> AsyncIterator[tuple[httpx.AsyncClient, HeldEngine]]:
    """A client of an engine that can fail, without a text cache."""
    held_engine = HeldEngine(engine)
    app = create_app(Settings(text_cache_size=0), LoadedModel(held_engine, imports_s=0.0))
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client, held_engine


async def test_a_failure_of_the_device_is_a_bad_row(held: tuple[httpx.AsyncClient, HeldEngine]) -> None:
    client, engine = held
    with engine.failing(RuntimeError("the device")):
        answer = await client.post("/embed", json=table(BOTH, [[GOOD, TEXT], [GOOD, None]], params=ANSWERED))
    code, message = error_of(answer, 0)
    assert (code, message[:19]) == ("encoding_failed", "Row 0, column text:")
    assert list(answer.json()[1]) == ["image_features", "scaling_factor"]


IMAGES = st.sampled_from([None, "", GOOD, encoded(png(2)), "not base64!", 7, *BAD.values()])
TEXTS = st.sampled_from([None, "", TEXT, "mri brain", "\ud800", 7, TRUNCATED])
ROWS = st.one_of(
    st.tuples(IMAGES, TEXTS).map(list),
    st.builds(lambda image, text: {"image": image, "text": text}, IMAGES, TEXTS),
    st.sampled_from([7, None, [], {}, [GOOD], {"text": TEXT}]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=8), truncate=st.booleans(), layout=st.sampled_from(["rows", "azure"]))
def test_every_row_is_answered_as_the_only_row(
    rows: list[Any], truncate: bool, layout: str, engine: EmbeddingEngine
) -> None:
    params = ANSWERED | {"truncate": truncate, "layout": layout}

    async def run() -> None:
        app = create_app(Settings(), LoadedModel(engine, imports_s=0.0))
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://it") as client,
            asyncio.timeout(10 * PATIENCE_S),
        ):

            async def answered(*some: Any) -> list[Any]:
                body = json.dumps(table(BOTH, [*some], params=params))
                answer = await client.post("/embed", content=body, headers={"content-type": "application/json"})
                failed = sum("error" in row for row in answer.json())
                assert int(answer.headers.get("x-failed-rows", 0)) == failed
                found: list[Any] = answer.json()
                return found

            for number, (together, row) in enumerate(zip(await answered(*rows), rows, strict=True)):
                (alone,) = await answered(row)
                assert_same(together, alone, number)

    asyncio.run(run())


def assert_same(together: dict[str, Any], alone: dict[str, Any], number: int) -> None:
    assert list(together) == list(alone)
    if "error" in alone:
        assert together["error"] == {
            "code": alone["error"]["code"],
            "message": re.sub("^Row 0", f"Row {number}", alone["error"]["message"]),
        }
        return
    for name, value in alone.items():
        assert np.shape(together[name]) == np.shape(value)
        assert np.allclose(together[name], value, atol=1e-5)
