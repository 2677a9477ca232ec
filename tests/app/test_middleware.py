"""Request ids, the bounds on a body, and the pages' policy."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import Message

from app.main import create_app
from app.model_loader import Loaded
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.app.held_engine import HeldEngine
from tests.app.patience import until
from tests.app.samples import TEXT, assert_close, assert_refused, table, text_vector, vectors

BODY = table(["text"], [[TEXT]])
JSON = {"content-type": "application/json"}


@asynccontextmanager
async def client_of(engine: EmbeddingEngine, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(**settings), Loaded(engine, imports_s=0.0))
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


async def parts(*contents: bytes, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for content in contents:
        yield content
        await asyncio.sleep(pause_s)


async def test_a_body_over_the_limit_is_refused_declared_or_not(engine: EmbeddingEngine) -> None:
    async with client_of(engine, max_body_bytes=1000) as client:
        for content in (b"x" * 1001, parts(b"x" * 600, b"x" * 600)):
            answer = await client.post("/embed", content=content, headers=JSON)
            assert_refused(answer, 413, "body_too_large", "1,000 bytes")
        for path in ("/embed/image", "/embed/text"):
            answer = await client.post(path, content=parts(b"x" * 999, b"x" * 2), headers={"content-type": "image/png"})
            if path == "/embed/image":
                assert_refused(answer, 413, "body_too_large", "1,000 bytes")
        answer = await client.post("/embed/image", files={"f": b"x" * 1001})
        assert_refused(answer, 413, "body_too_large")
        answer = await client.post("/embed", json=BODY)
        assert_close(vectors(answer, "text_features")[0], text_vector(engine, TEXT))


async def test_a_body_declared_too_large_is_not_read(engine: EmbeddingEngine) -> None:
    async def must_not_be_read() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    async with client_of(engine, max_body_bytes=1000) as client:
        headers = JSON | {"content-length": "1001"}
        answer = await client.post("/embed", content=must_not_be_read(), headers=headers)
        assert_refused(answer, 413, "body_too_large")


async def test_a_body_of_exactly_the_limit_is_read(engine: EmbeddingEngine) -> None:
    content = httpx.Request("POST", "http://it", json=BODY).content
    async with client_of(engine, max_body_bytes=len(content)) as client:
        assert (await client.post("/embed", content=content)).status_code == 200
        assert (await client.post("/embed", content=parts(content[:9], content[9:]))).status_code == 200
        assert (await client.post("/embed", content=content + b" ")).status_code == 413


async def test_a_body_that_does_not_arrive_in_time_is_given_up(engine: EmbeddingEngine) -> None:
    content = httpx.Request("POST", "http://it", json=BODY).content
    async with client_of(engine, body_timeout_s=0.1) as client:
        slow = parts(*(content[place : place + 1] for place in range(len(content))), pause_s=0.02)
        answer = await client.post("/embed", content=slow, headers=JSON)
        assert_refused(answer, 408, "body_timeout", "0.1 seconds")
        assert (await client.post("/embed", json=BODY)).status_code == 200


async def test_the_time_for_the_body_is_not_the_time_for_the_answer(engine: EmbeddingEngine) -> None:
    async with client_of(engine, body_timeout_s=0.05) as client:
        texts = table(["text"], [[f"{number} " * 20] for number in range(300)])
        assert (await client.post("/embed", json=texts)).status_code == 200


async def test_a_request_that_outlives_a_stopping_servers_patience_is_told_so(engine: EmbeddingEngine) -> None:
    """The server cancels it."""
    held = HeldEngine(engine)
    app = create_app(Settings(), Loaded(held, imports_s=0.0))
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


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_pages_may_load_from_this_server_only(path: str, client: httpx.AsyncClient) -> None:
    policy = (await client.get(path)).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
