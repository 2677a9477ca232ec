"""A request that ends at any of its await points leaves nothing behind, and the next one is right."""

import asyncio
import gzip
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.decoding.workers import ThreadWorker
from app.inference.model_loader import LoadedModel
from app.inference.pipeline import Pipeline
from app.main import create_app
from app.service import Service
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.cancellation import at_point, cancel_at, cancel_everywhere
from tests.support.image_files.volumes import nifti
from tests.support.patience import PATIENCE_S, until
from tests.support.samples import encoded, png, table

TEXTS = [f"text {number} of a request that is long enough for a thread to tokenise it" for number in range(12)]
ROWS = [[encoded(png(seed)), text] for seed, text in enumerate(TEXTS[:3])]


@dataclass
class Sent:
    """A request as the server gets it, and its client, which may leave."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""

    async def ask(self, app: FastAPI, gone: asyncio.Event | None = None) -> int:
        """The status of the answer, or 0 if the client left before."""
        gone = gone or asyncio.Event()
        parts = [self.body[: len(self.body) // 2], self.body[len(self.body) // 2 :]]
        status = 0

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0)
            if parts and not gone.is_set():
                return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            await asyncio.sleep(0)
            status = message.get("status", status)

        headers = {"content-length": str(len(self.body)), **self.headers}
        await app(
            {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "method": "POST",
                "scheme": "http",
                "path": self.path,
                "raw_path": self.path.encode(),
                "query_string": self.query.encode(),
                "root_path": "",
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
                "client": ("127.0.0.1", 1),
                "server": ("127.0.0.1", 2),
                "state": {},
            },
            receive,
            send,  # type: ignore[arg-type]  # it takes any message
        )
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError  # the middleware answered it, as uvicorn cancels at the end of a shutdown
        return status


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


JSON = {"content-type": "application/json"}
SENT = {
    "one image": Sent("/embed/image", png(1), {"content-type": "image/png"}),
    "images and texts": Sent("/embed", as_json(table(["image", "text"], ROWS)), JSON),
    "long texts": Sent("/embed/text", as_json({"texts": TEXTS}), JSON),
    "every slice of a volume": Sent(
        "/embed/image",
        gzip.compress(nifti(np.arange(64, dtype=np.int16).reshape(4, 4, 4)), mtime=0),
        {"content-type": "application/octet-stream"},
        "frames=all",
    ),
    "a compressed body": Sent(
        "/embed", gzip.compress(as_json(table(["text"], [["compressed"]]))), {**JSON, "content-encoding": "gzip"}
    ),
    "a picture to look at": Sent("/render", png(1), {"content-type": "image/png"}),
    "a bad row behind good ones": Sent(
        "/embed", as_json(table(["image"], [[encoded(png(1))], [encoded(png(2)[:60])], [encoded(png(3))]])), JSON
    ),
    "bad rows that are answered": Sent(
        "/embed",
        as_json(
            table(
                ["image", "text"],
                [[encoded(png(1)), TEXTS[0]], [encoded(png(2)[:60]), TEXTS[1]], [7, TEXTS[2]], ["", "\ud800"]],
                params={"on_error": "row"},
            )
        ),
        JSON,
    ),
}


# Threads and processes decode with the same pool: two requests are enough for what differs.
CASES = [(name, 0) for name in SENT] + [("one image", 2), ("every slice of a volume", 2)]
QUICK = [("images and texts", 0), ("bad rows that are answered", 0), ("every slice of a volume", 2)]
"""The cases of every test run. The others take minutes, and are run with the tests of time and memory."""
every_case = pytest.mark.parametrize(
    ("name", "decode_workers"),
    [pytest.param(*case, marks=() if case in QUICK else pytest.mark.timing) for case in CASES],
    ids=[f"{name}, {'processes' if workers else 'threads'}" for name, workers in CASES],
)


@dataclass
class State:
    """What a request takes and must give back."""

    app: FastAPI

    @property
    def service(self) -> Service:
        service: Service = self.app.state.service
        return service

    @property
    def pipeline(self) -> Pipeline:
        return self.service.require_model().pipeline

    def taken(self) -> dict[str, Any]:
        admission, pipeline = self.service.admission, self.pipeline
        preprocessor, decoders = pipeline.preprocessor, pipeline.decoders
        return {
            "rows": admission.rows,
            "bytes": admission.bytes,
            "requests": admission.requests,
            "places for decoded images": pipeline._decoded_images._free,
            "places for inflated files": preprocessor._requests_with_inflated_files._value,
            "turns on the device": pipeline.device.turn.free,
            "busy decoders": decoders.busy,
            "tasks that wait for a decoder": decoders.waiting,
            "open files": [worker.kept for worker in decoders._free],
            "queued entries": [
                entry.wanted for batcher in (pipeline.images, pipeline.texts) for entry in batcher._queue.unanswered
            ],
            "tasks": len([task for task in asyncio.all_tasks() if not task.done()]),
            "threads": threading.active_count(),
        }


@pytest.fixture
async def state(decode_workers: int, engine: EmbeddingEngine) -> AsyncIterator[State]:
    options = Settings(text_cache_size=0, decode_workers=decode_workers)
    app = create_app(options, LoadedModel(engine, imports_s=0.0))
    async with app.router.lifespan_context(app), asyncio.timeout(10 * PATIENCE_S):
        state = State(app)
        await asyncio.gather(*(sent.ask(app) for sent in [*SENT.values()] * 2))
        await start_all_threads(state.pipeline)
        yield state


async def start_all_threads(pipeline: Pipeline) -> None:
    """Let every executor start all of its threads, as it does when it has work for them."""
    loop = asyncio.get_running_loop()
    decoders = [worker._thread for worker in pipeline.decoders._free if isinstance(worker, ThreadWorker)]
    staging = [batcher._runner._staging for batcher in (pipeline.images, pipeline.texts)]
    for executor in (None, pipeline.preprocessor._threads, pipeline.device.executor, *decoders, *staging):
        await asyncio.gather(*(loop.run_in_executor(executor, time.sleep, 0.01) for _ in range(10)))


async def nothing_is_left(state: State, before: dict[str, Any]) -> None:
    after: dict[str, Any] = {}

    def is_as_before() -> bool:
        after.update(state.taken())
        return after == before

    try:
        await until(is_as_before)
    except (AssertionError, TimeoutError):
        assert after == before


async def rest(state: State) -> dict[str, Any]:
    """What is taken while nothing happens."""
    await until(lambda: state.service.admission.requests == 0 and state.pipeline.decoders.busy == 0)
    await asyncio.sleep(0.05)
    return state.taken()


@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "when its wait has ended"])
@every_case
async def test_a_request_that_is_cancelled_at_any_await_point_leaves_nothing(
    name: str, late: bool, state: State
) -> None:
    sent, before = SENT[name], await rest(state)
    status = await sent.ask(state.app)

    async def check() -> None:
        await nothing_is_left(state, before)

    points = await cancel_everywhere(lambda: sent.ask(state.app), check, late=late)
    assert points >= 8
    assert await sent.ask(state.app) == status


@every_case
async def test_a_client_that_leaves_at_any_await_point_leaves_nothing(name: str, state: State) -> None:
    sent, before = SENT[name], await rest(state)
    loop = asyncio.get_running_loop()
    point = 0
    while True:
        gone = asyncio.Event()
        with at_point(loop, point, lambda _, gone=gone: gone.set()):  # type: ignore[misc]  # mypy cannot infer it
            await asyncio.create_task(sent.ask(state.app, gone))
        await nothing_is_left(state, before)
        if not gone.is_set():
            break
        point += 1
    assert point >= 8


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_requests_that_end_beside_others_cost_them_nothing(data: st.DataObject, engine: EmbeddingEngine) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(SENT)), min_size=2, max_size=4), label="requests")
    ends = data.draw(
        st.lists(st.tuples(st.integers(0, 120), st.booleans()), min_size=1, max_size=3), label="await points and late"
    )

    async def run() -> None:
        app = create_app(Settings(text_cache_size=0), LoadedModel(engine, imports_s=0.0))
        async with app.router.lifespan_context(app), asyncio.timeout(3 * PATIENCE_S):
            state = State(app)
            right = [await SENT[name].ask(app) for name in names]
            await start_all_threads(state.pipeline)
            before = await rest(state)
            staying = [asyncio.create_task(SENT[name].ask(app)) for name in names]
            call: Callable[[], Any] = lambda: SENT[names[0]].ask(app)  # noqa: E731 (mypy needs its type)
            for point, late in ends:
                await cancel_at(call, point, late=late)
            assert await asyncio.gather(*staying) == right
            await nothing_is_left(state, before)

    asyncio.run(run())
