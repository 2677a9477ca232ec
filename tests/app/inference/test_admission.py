"""Admission control: whole requests are admitted while there is room."""

import asyncio
import contextlib
import time

import httpx
import pytest

from app.errors import QueueFull
from app.inference.admission import Admission
from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.held_engine import HeldEngine
from tests.support.patience import until
from tests.support.samples import assert_refused, assert_text_vectors, table


def test_a_request_is_admitted_whole_or_not_at_all() -> None:
    admission = Admission(queue_size=10, queue_bytes=1000, max_concurrent_requests=2)
    with admission.reserve(6):
        with pytest.raises(QueueFull, match="room for 4 rows, the request has 5"), admission.reserve(5):
            pass
        assert admission.rows == 6
        with admission.reserve(4):
            assert admission.rows == 10


def test_room_returns_however_a_request_ends() -> None:
    admission = Admission(queue_size=10, queue_bytes=1000, max_concurrent_requests=2)
    for end in (ValueError, asyncio.CancelledError, KeyboardInterrupt):
        with contextlib.suppress(end), admission.reserve(10):
            raise end
        assert admission.rows == 0


def test_retry_after_follows_the_rate_of_service() -> None:
    admission = Admission(queue_size=100, queue_bytes=1000, max_concurrent_requests=2)

    def retry_after() -> int | None:
        with admission.reserve(100):
            with pytest.raises(QueueFull) as full, admission.reserve(50):
                pass
            return full.value.retry_after_s

    assert retry_after() == 50  # before any measurement: one second per row
    for _ in range(30):
        with admission.reserve(100) as reservation:
            time.sleep(0.001)
            reservation.computed_items = 100
    assert retry_after() == 1  # a whole number, and never 0


@pytest.mark.parametrize("end", [ValueError, asyncio.CancelledError, TimeoutError])
def test_retry_after_learns_nothing_from_requests_that_were_not_computed(end: type[BaseException]) -> None:
    admission = Admission(queue_size=100, queue_bytes=1000, max_concurrent_requests=2)
    for _ in range(30):
        with contextlib.suppress(end), admission.reserve(100) as reservation:
            reservation.computed_items = 100
            raise end
    assert admission.seconds_for(50) == 50


def test_retry_after_follows_the_computed_rows_of_a_request_alone() -> None:
    admission = Admission(queue_size=100, queue_bytes=1000, max_concurrent_requests=2)
    for _ in range(30):
        with admission.reserve(100):
            pass
    assert admission.seconds_for(50) == 50
    for _ in range(30):
        with admission.reserve(100) as reservation:
            time.sleep(0.01)
            reservation.computed_items = 1
    assert admission.seconds_for(1000) >= 10  # 0.01 s per computed row; the rows reserved would make it 1


def test_the_bytes_in_flight_are_bounded() -> None:
    admission = Admission(queue_size=10, queue_bytes=1000, max_concurrent_requests=2)
    admission.hold_bytes(900)
    with pytest.raises(QueueFull, match="hold all of the 1,000 bytes that are allowed") as full:
        admission.hold_bytes(101)
    assert (full.value.retry_after_s or 0) >= 1
    admission.hold_bytes(100)
    admission.release_bytes(1000)
    assert admission.bytes == 0


def test_the_requests_in_flight_are_bounded() -> None:
    admission = Admission(queue_size=10, queue_bytes=1000, max_concurrent_requests=2)
    admission.enter()
    admission.enter()
    with pytest.raises(QueueFull, match="2 requests are in flight") as full:
        admission.enter()
    assert (full.value.retry_after_s or 0) >= 1
    admission.leave()
    admission.enter()


TEXTS = [f"text {number}" for number in range(8)]


def texts(count: int) -> dict[str, object]:
    return table(["text"], [[text] for text in TEXTS[:count]])


async def test_beyond_the_queue_a_request_gets_429_and_nothing_of_it_is_done(engine: EmbeddingEngine) -> None:
    held = HeldEngine(engine)
    app = create_app(Settings(queue_size=8, max_rows=8), LoadedModel(held, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        with held.holding():
            first = asyncio.create_task(client.post("/embed", json=texts(5)))
            await until(lambda: held.texts_seen > 0)
            refused = await client.post("/embed", json=texts(4))
            assert_refused(refused, 429, "queue_full", "room for 3 rows, the request has 4")
            assert int(refused.headers["retry-after"]) >= 1
            fitting = asyncio.create_task(client.post("/embed", json=texts(3)))
        assert_text_vectors(await first, engine, TEXTS[:5])
        assert_text_vectors(await fitting, engine, TEXTS[:3])
        assert held.texts_seen == 5 + 3
        assert_text_vectors(await client.post("/embed", json=texts(8)), engine, TEXTS)


async def test_beyond_the_bytes_or_the_requests_in_flight_there_is_429_too(engine: EmbeddingEngine) -> None:
    held = HeldEngine(engine)
    settings = Settings(queue_bytes=1000, max_body_bytes=1000, max_concurrent_requests=2)
    app = create_app(settings, LoadedModel(held, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        with held.holding():
            first = asyncio.create_task(client.post("/embed/text", json={"texts": ["a" * 700]}))
            await until(lambda: held.texts_seen > 0)
            large = await client.post("/embed/text", json={"texts": ["b" * 700]})
            assert_refused(large, 429, "queue_full", "hold all of the 1,000 bytes that are allowed")
            second = asyncio.create_task(client.post("/embed/text", json={"texts": ["c"]}))
            await until(lambda: app.state.service.admission.requests == 2)
            third = await client.post("/embed/text", json={"texts": ["d"]})
            assert_refused(third, 429, "queue_full", "2 requests are in flight")
            assert int(third.headers["retry-after"]) >= 1
        assert_text_vectors(await first, engine, ["a" * 700])
        assert_text_vectors(await second, engine, ["c"])
    assert (app.state.service.admission.requests, app.state.service.admission.bytes) == (0, 0)


async def test_retry_after_learns_nothing_from_texts_of_the_cache(engine: EmbeddingEngine) -> None:
    app = create_app(Settings(), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        admission = app.state.service.admission
        untouched = admission.seconds_for(1_000_000)
        assert_text_vectors(await client.post("/embed", json=texts(8)), engine, TEXTS)
        learned = admission.seconds_for(1_000_000)
        for _ in range(30):
            assert_text_vectors(await client.post("/embed", json=texts(8)), engine, TEXTS)
        assert admission.seconds_for(1_000_000) == learned < untouched


async def test_a_full_queue_refuses_before_decoding(engine: EmbeddingEngine) -> None:
    held = HeldEngine(engine)
    app = create_app(Settings(queue_size=1, max_rows=1), LoadedModel(held, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        with held.holding():
            first = asyncio.create_task(client.post("/embed", json=texts(1)))
            await until(lambda: held.texts_seen > 0)
            undecodable = table(["image"], [["no base64"]])
            assert_refused(await client.post("/embed", json=undecodable), 429, "queue_full")
        await first
        assert_refused(await client.post("/embed", json=undecodable), 400, "undecodable_image", row=0, column="image")
