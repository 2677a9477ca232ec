"""A cancelled call leaves nothing behind, wherever it was: each of its await points is tried."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import medimageinsight
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from medimageinsight import AsyncClient

from tests.support.cancellation import cancel_at, cancel_everywhere
from tests.support.patience import PATIENCE_S, until
from tests.support.samples import picture, png
from tests.support.servers.embedding_server import EmbeddingServer, running
from tests.support.servers.serving import serving

CONCURRENCY = 2
TEXTS = ["a", "bb", "ccc", "dddd", "eeeee"]
IMAGES: list[Any] = [png(1), picture(2), np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.float32), png(3)]
SOURCES = str(Path(medimageinsight.__file__).parent)
Embed = Callable[[AsyncClient], Coroutine[Any, Any, Any]]


class SlowPath(os.PathLike[str]):
    """A path that takes a moment to look up, as on a network drive."""

    looked_up = 0

    def __init__(self, path: Path, delay_s: float) -> None:
        self._path, self._delay_s = path, delay_s

    def __fspath__(self) -> str:
        type(self).looked_up += 1
        time.sleep(self._delay_s)
        return str(self._path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[SlowPath]:
    folder = tmp_path_factory.mktemp("files")
    for number in range(5):
        (folder / f"{number}.png").write_bytes(png(number))
    return [SlowPath(path, 0.002) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def calls(files: list[SlowPath]) -> dict[str, Embed]:
    """A call of each kind."""

    async def mixed(client: AsyncClient) -> Any:
        async with asyncio.TaskGroup() as group:
            both = [group.create_task(client.embed_texts(TEXTS)), group.create_task(client.embed_images(files))]
        return np.concatenate([task.result() for task in both])

    return {
        "texts": lambda client: client.embed_texts(TEXTS),
        "images": lambda client: client.embed_images(IMAGES),
        "files": lambda client: client.embed_images(files),
        "mixed": mixed,
        "refused items": lambda client: client.embed_texts(["a", "bad", "ccc"], errors="skip", failures=[]),
    }


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddingServer]:
    with running(EmbeddingServer(max_rows=2)) as server:
        yield server


def threads_at_work() -> list[int]:
    """The threads that are executing code of the client."""
    found = []
    for thread, frame in sys._current_frames().items():
        at: Any = frame
        while at is not None and not at.f_code.co_filename.startswith(SOURCES):
            at = at.f_back
        if at is not None:
            found.append(thread)
    return found


def open_images() -> list[str]:
    return [file.path for file in psutil.Process().open_files() if file.path.endswith(".png")]


async def assert_as_before(client: AsyncClient, server: EmbeddingServer) -> None:
    """No slot, task, request, connection, thread or file is held by a call that is over."""
    assert (client._slots._value, list(client._slots._waiters or ())) == (CONCURRENCY, [])
    assert asyncio.all_tasks() == {asyncio.current_task()}
    pool: Any = client._transport._http._transport._pool  # type: ignore[attr-defined]
    assert pool._requests == []
    assert [connection for connection in pool.connections if not connection.is_idle()] == []
    await until(lambda: len(server.connections) <= len(pool.connections))
    await until(lambda: not threads_at_work() and not open_images())


@asynccontextmanager
async def client_of(server: EmbeddingServer, *, host: str = "127.0.0.1", path: str = "") -> AsyncIterator[AsyncClient]:
    url = server.url.replace("127.0.0.1", host) + path
    async with AsyncClient(url, concurrency=CONCURRENCY, progress=False) as client:
        yield client
    await until(lambda: not server.connections)


@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "after the wait"])
@pytest.mark.parametrize("kind", ["texts", "images", "files", "mixed", "refused items"])
async def test_a_call_cancelled_at_any_await_point_leaves_nothing_behind(
    kind: str, late: bool, calls: dict[str, Embed], server: EmbeddingServer
) -> None:
    embed = calls[kind]
    async with client_of(server) as client:
        right = await embed(client)

        async def check() -> None:
            await assert_as_before(client, server)
            server.statuses = []
            assert np.array_equal(await embed(client), right, equal_nan=True)
            server.statuses = [429, 503]

        server.statuses = [429, 503]
        points = await cancel_everywhere(lambda: embed(client), check, late=late)
        assert points > 10  # of several parts, two of them sent again


@settings(
    max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)  # fmt: skip
@given(
    kind=st.sampled_from(["texts", "images", "files", "mixed", "refused items"]),
    point=st.integers(0, 60),
    late=st.booleans(),
    statuses=st.lists(st.sampled_from([200, 429, 502, 503]), max_size=5),
    delay_s=st.sampled_from([0.0, 0.0, 0.005, 0.02]),
    keep_alive=st.booleans(),
    host=st.sampled_from(["127.0.0.1", "localhost"]),
    path=st.sampled_from(["", "/"]),
)
async def test_a_new_client_whose_call_is_cancelled_serves_the_next_one(
    kind: str, point: int, late: bool, statuses: list[int], delay_s: float, keep_alive: bool, host: str, path: str,
    calls: dict[str, Embed], server: EmbeddingServer,
) -> None:  # fmt: skip
    """The first call of a client also looks the host up, connects, and asks for the limits."""
    server.statuses, server.delay_s, server.keep_alive = list(statuses), delay_s, keep_alive
    try:
        async with client_of(server, host=host, path=path) as client:
            await cancel_at(lambda: calls[kind](client), point, late=late)
            await assert_as_before(client, server)
            server.statuses, server.delay_s = [], 0.0
            first = await calls[kind](client)
            assert np.array_equal(first, await calls[kind](client), equal_nan=True)
            assert first[0].tolist() == [1, 1] if kind in ("texts", "mixed") else len(first) in (3, 5)
    finally:
        server.statuses, server.delay_s, server.keep_alive = [], 0.0, True


async def test_a_client_whose_closing_is_cancelled_closes_all_connections(server: EmbeddingServer) -> None:
    clients: list[AsyncClient] = []

    async def close() -> None:
        await clients[-1].aclose()

    async def renew() -> None:
        await until(lambda: not server.connections)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        clients.append(AsyncClient(server.url, progress=False))
        await clients[-1].embed_texts(TEXTS * 4)
        assert len(server.connections) > 1

    await renew()
    assert await cancel_everywhere(close, renew) > 1
    await until(lambda: not server.connections)


async def test_a_cancelled_call_reads_no_further_file(files: list[SlowPath]) -> None:
    """At most the file is read that was begun."""
    slow = [SlowPath(path._path, 0.05) for path in files]
    with running(EmbeddingServer(max_body_bytes=1_000_000, max_rows=16)) as server:
        async with client_of(server) as client:
            await client.info()
            call = asyncio.create_task(client.embed_images(slow))
            SlowPath.looked_up = 0
            await until(lambda: SlowPath.looked_up == 1)
            call.cancel()
            await asyncio.wait({call})
            await until(lambda: not threads_at_work())
            assert SlowPath.looked_up == 1


async def test_the_service_holds_nothing_for_a_client_that_left(small_release: Path) -> None:
    with serving(small_release, max_rows=2) as url:
        async with AsyncClient(url, concurrency=CONCURRENCY, progress=False) as client:
            right = await client.embed_texts(TEXTS[:3])

            async def check() -> None:
                async with asyncio.timeout(PATIENCE_S):
                    while (await client._transport.info())["counters"]["requests_in_flight"]:  # noqa: ASYNC110 (no event)
                        await asyncio.sleep(0.001)
                assert np.allclose(await client.embed_texts(TEXTS[:3]), right, atol=1e-5)

            await cancel_everywhere(lambda: client.embed_texts(TEXTS[:3]), check)
