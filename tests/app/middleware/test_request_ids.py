"""Request ids, and the answer to requests that a stopping server cancels."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import Message

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.held_engine import HeldEngine
from tests.support.patience import until
from tests.support.samples import TEXT, assert_refused, table

BODY = table(["text"], [[TEXT]])
JSON = {"content-type": "application/json"}


@asynccontextmanager
async def client_of(engine: EmbeddingEngine, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(**settings), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        yield client


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ({"x-request-id": "r"}, {"x-request-id": "r", "x-ms-request-id": "r"}),
        ({"x-ms-request-id": "m"}, {"x-ms-request-id": "m"}),
        (
            {"x-ms-client-request-id": "c", "x-request-id": "r"},
            {"x-ms-client-request-id": "c", "x-ms-request-id": "c", "x-request-id": "r"},
        ),
        (
            {"x-ms-client-request-id": "c", "x-request-id": "r", "x-ms-request-id": "m"},
            {"x-ms-client-request-id": "c", "x-ms-request-id": "m", "x-request-id": "r"},
        ),
        ({"x-request-id": "a" * 100}, {"x-request-id": "a" * 100}),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/embed"), ("GET", "/health/live"), ("GET", "/nowhere")])
async def test_request_ids_are_echoed(
    sent: Mapping[str, str], answered: Mapping[str, str], method: str, path: str, client: httpx.AsyncClient
) -> None:
    answer = await client.request(method, path, headers=sent, json=BODY)
    assert {name: answer.headers[name] for name in answered} == answered
    assert ("x-ms-client-request-id" in answer.headers) == ("x-ms-client-request-id" in sent)


async def test_a_request_id_is_made_where_none_is_sent(client: httpx.AsyncClient) -> None:
    ids = [(await client.get("/health/live")).headers for _ in range(2)]
    for headers in ids:
        assert uuid.UUID(headers["x-request-id"]).version == 4
        assert headers["x-ms-request-id"] == headers["x-request-id"]
    assert ids[0]["x-request-id"] != ids[1]["x-request-id"]


@pytest.mark.parametrize("name", ["x-request-id", "x-ms-request-id", "x-ms-client-request-id"])
async def test_an_id_of_101_characters_is_refused(name: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json=BODY, headers={name: "a" * 101})
    assert_refused(answer, 431, "request_id_too_long", name, "100")
    assert "a" * 101 not in str(answer.headers)


async def test_a_request_that_a_stop_cancels_is_refused_with_its_id(engine: EmbeddingEngine) -> None:
    """The server cancels the request at the end of its shutdown."""
    held = HeldEngine(engine)
    app = create_app(Settings(), LoadedModel(held, imports_s=0.0))
    body = asyncio.Queue[Message]()
    body.put_nowait({"type": "http.request", "body": json.dumps(BODY).encode()})
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/embed", "headers": [], "query_string": b"", "root_path": ""}
    async with app.router.lifespan_context(app):
        with held.holding():
            request = asyncio.create_task(app(scope, body.get, send))
            await until(lambda: held.texts_seen > 0)
            request.cancel()
            await request
    assert (sent[0]["status"], json.loads(sent[1]["body"])["message"]) == (503, "The service is stopping.")
    assert (b"retry-after", b"1") in sent[0]["headers"]
