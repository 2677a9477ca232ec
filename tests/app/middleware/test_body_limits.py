"""Bounds on a request body: its size, declared or not, and its time to arrive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_refused, assert_text_vectors, table

BODY = table(["text"], [[TEXT]])
JSON = {"content-type": "application/json"}


@asynccontextmanager
async def client_of(engine: EmbeddingEngine, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(**settings), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        yield client


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
        assert_text_vectors(await client.post("/embed", json=BODY), engine, [TEXT])


async def test_a_body_declared_too_large_is_not_read(engine: EmbeddingEngine) -> None:
    async def must_not_be_read() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    async with client_of(engine, max_body_bytes=1000) as client:
        headers = JSON | {"content-length": "1001"}
        answer = await client.post("/embed", content=must_not_be_read(), headers=headers)
        assert_refused(answer, 413, "body_too_large")


async def test_a_declared_size_of_very_many_digits_is_a_size(engine: EmbeddingEngine) -> None:
    content = httpx.Request("POST", "http://it", json=BODY).content
    async with client_of(engine, max_body_bytes=1000) as client:
        for digits in ("1" * 5000, "0" * 5000 + "1001", "9" * 20):
            answer = await client.post("/embed", content=content, headers=JSON | {"content-length": digits})
            assert_refused(answer, 413, "body_too_large", "1,000 bytes")
        padded = JSON | {"content-length": "0" * 5000 + str(len(content))}
        assert_text_vectors(await client.post("/embed", content=content, headers=padded), engine, [TEXT])


async def test_a_body_of_exactly_the_limit_is_read(engine: EmbeddingEngine) -> None:
    content = httpx.Request("POST", "http://it", json=BODY).content
    async with client_of(engine, max_body_bytes=len(content)) as client:
        for body in (content, parts(content[:9], content[9:])):
            assert_text_vectors(await client.post("/embed", content=body), engine, [TEXT])
        assert (await client.post("/embed", content=content + b" ")).status_code == 413


async def test_a_body_that_does_not_arrive_in_time_is_given_up(engine: EmbeddingEngine) -> None:
    content = httpx.Request("POST", "http://it", json=BODY).content
    async with client_of(engine, body_timeout_s=0.1) as client:
        slow = parts(*(content[place : place + 1] for place in range(len(content))), pause_s=0.02)
        answer = await client.post("/embed", content=slow, headers=JSON)
        assert_refused(answer, 408, "body_timeout", "0.1 seconds")
        assert_text_vectors(await client.post("/embed", json=BODY), engine, [TEXT])


async def test_the_time_for_the_body_is_not_the_time_for_the_answer(engine: EmbeddingEngine) -> None:
    async with client_of(engine, body_timeout_s=0.05) as client:
        texts = [f"{number} " * 20 for number in range(300)]
        answer = await client.post("/embed", json=table(["text"], [[text] for text in texts]))
        assert_text_vectors(answer, engine, texts)
