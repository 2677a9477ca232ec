"""Worker processes: hostile images, workers that are killed, and starts that fail."""

import asyncio
import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest

from app.decoding.decoder import Task
from app.decoding.pool import DecoderPool
from app.errors import NotReady
from model.errors import DecoderFailed, ImageDecodeError, ImageTooCostly, OutOfMemory
from tests.support.hostile_decoders.fork_server import PROGRAM
from tests.support.patience import PATIENCE_S, until
from tests.support.samples import png

MAX_PIXELS = 1_000_000
PIXELS = Task("pixels", MAX_PIXELS, image_size=(8, 8))


@asynccontextmanager
async def processes(size: int = 2, *, cpu_s: float = 0.5, memory_bytes: int = 2**28) -> AsyncIterator[DecoderPool]:
    """A pool of worker processes that obey `tests.support.hostile_decoders.fork_server.ORDERS`."""
    pool = DecoderPool.of_processes(size, memory_bytes=memory_bytes, cpu_s=cpu_s, program=PROGRAM)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await pool.perform(PIXELS, png(1), start_tag=0)  # the fork server has started
            yield pool
    finally:
        pool.stop()


async def told_by(pool: DecoderPool) -> dict[str, Any]:
    """What a worker tells of itself."""
    try:
        await pool.perform(PIXELS, b"tell", start_tag=0)
    except ImageDecodeError as told:
        facts: dict[str, Any] = json.loads(str(told))
    return facts


async def process_of(pool: DecoderPool) -> int:
    return int((await told_by(pool))["process"])


@pytest.mark.parametrize(
    ("order", "error", "message", "reason"),
    [
        (b"spin", ImageTooCostly, "takes more than the 0.5 seconds that are allowed", "time"),
        (b"sleep", ImageTooCostly, "takes more than the 0.5 seconds that are allowed", "time"),
        (b"hoard", ImageTooCostly, "needs more than the 268,435,456 bytes of memory", "memory"),
        (b"abort", DecoderFailed, "its decoder crashed on it", "crashed"),
        (b"exit", DecoderFailed, "its decoder crashed on it", "crashed"),
    ],
    ids=["computes without end", "sleeps", "allocates without end", "aborts", "ends"],
)
async def test_a_hostile_image_costs_its_worker_and_nothing_else(
    order: bytes, error: type[Exception], message: str, reason: str
) -> None:
    async with processes(cpu_s=PATIENCE_S if reason == "memory" else 0.5) as pool:
        right = await pool.perform(PIXELS, png(1), start_tag=0)

        async def watch() -> None:
            while True:
                pool.check()
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        bad = asyncio.create_task(pool.perform(PIXELS, order, start_tag=0))
        good = [asyncio.create_task(pool.perform(PIXELS, png(1), start_tag=1)) for _ in range(10)]
        with pytest.raises(error, match=message):
            await bad
        assert [await task for task in good] == [right] * 10
        assert pool.ends[reason] == sum(pool.ends.values()) == 1
        assert await pool.perform(PIXELS, png(1), start_tag=2) == right
        watching.cancel()


async def test_a_killed_worker_does_not_blame_its_image() -> None:
    async with processes(1, cpu_s=PATIENCE_S) as pool:
        process = await process_of(pool)
        sleeping = asyncio.create_task(pool.perform(PIXELS, b"sleep", start_tag=0))
        await asyncio.sleep(0.1)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(OutOfMemory, match="ended from outside; send the image again later"):
            await sleeping
        assert await process_of(pool) != process
        assert pool.ends["killed"] == 1


async def test_a_worker_that_was_killed_while_it_was_free_is_replaced_before_its_next_task() -> None:
    async with processes(1) as pool:
        os.kill(await process_of(pool), signal.SIGKILL)
        await until(lambda: any(worker.has_ended for worker in pool._free))
        assert (await pool.perform(PIXELS, png(1), start_tag=0)).data
        assert pool.ends["killed"] == 1


async def test_a_fork_server_that_was_killed_is_started_again() -> None:
    async with processes() as pool:
        server = psutil.Process(await process_of(pool)).parent()
        assert server is not None
        server.kill()
        await until(lambda: not server.is_running())
        while True:  # until the pool has noticed, and a new one has started
            try:
                assert psutil.Process(await process_of(pool)).parent() != server
                break
            except OutOfMemory:
                await asyncio.sleep(0.1)


async def test_a_cancelled_image_is_not_decoded_on() -> None:
    async with processes(1, cpu_s=PATIENCE_S) as pool:
        process = psutil.Process(await process_of(pool))
        spinning = asyncio.create_task(pool.perform(PIXELS, b"spin", start_tag=0))
        await asyncio.sleep(0.1)
        spinning.cancel()
        began = time.monotonic()
        assert (await pool.perform(PIXELS, png(1), start_tag=0)).data
        assert time.monotonic() - began < PATIENCE_S / 2
        await until(lambda: not process.is_running())


async def test_a_worker_knows_no_key_and_holds_no_foreign_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "SECRET")
    async with processes() as pool:
        told = await told_by(pool)
    assert "API_KEYS" not in told["variables"]
    assert told["open_files"] == [*["/dev/null"] * 4, "/memfd", "socket"]


async def test_a_fork_server_that_cannot_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen

    def fail(*_: Any, **__: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("app.decoding.fork_client.subprocess.Popen", fail)
    pool = DecoderPool.of_processes(2, memory_bytes=2**28, cpu_s=0.5, program=PROGRAM)
    try:
        assert pool.is_broken
        with pytest.raises(OutOfMemory):
            await pool.perform(PIXELS, png(1), start_tag=0)
        ended = pool.ends["killed"]
        for _ in range(10):
            pool.check()
        assert pool.ends["killed"] == ended  # nothing came in their place
        monkeypatch.setattr("app.decoding.fork_client.subprocess.Popen", real)
        async with asyncio.timeout(PATIENCE_S):
            while pool.is_broken:
                await asyncio.sleep(0.1)
                pool.check()
            assert (await pool.perform(PIXELS, png(1), start_tag=0)).data
    finally:
        pool.stop()


@pytest.mark.parametrize("source", ["_memory_file", "socket.socketpair"])
async def test_a_worker_for_which_there_is_no_handle_is_tried_again(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with processes(1, cpu_s=PATIENCE_S) as pool:
        sleeping = asyncio.create_task(pool.perform(PIXELS, b"sleep", start_tag=0))
        await asyncio.sleep(0.05)
        with monkeypatch.context() as patched:
            patched.setattr(f"app.decoding.workers.{source}", mock.Mock(side_effect=OSError(errno.EMFILE, "")))
            sleeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sleeping
            assert pool.is_broken
            with pytest.raises(OutOfMemory):
                await pool.perform(PIXELS, png(1), start_tag=0)
        assert (await pool.perform(PIXELS, png(1), start_tag=0)).data


async def test_an_image_that_is_written_in_parts_arrives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    async with processes(1) as pool:
        whole = await pool.perform(PIXELS, png(1), start_tag=0)
        monkeypatch.setattr("app.decoding.workers.os.pwrite", lambda file, data, place: real(file, data[:100], place))
        assert await pool.perform(PIXELS, png(1), start_tag=0) == whole


async def test_a_refused_image_costs_no_worker_however_little_memory_it_has() -> None:
    async with processes(1, memory_bytes=2**25) as pool:
        with pytest.raises(ImageDecodeError):
            await pool.perform(PIXELS, b"no image", start_tag=0)
        assert sum(pool.ends.values()) == 0


async def test_a_worker_that_sends_no_reply_is_replaced_and_its_image_refused() -> None:
    async with processes(1) as pool:
        for order in (b"babble", b"lie", b"nest"):
            with pytest.raises(DecoderFailed):
                await pool.perform(PIXELS, order, start_tag=0)
        assert (await pool.perform(PIXELS, png(1), start_tag=0)).data
        assert pool.ends["crashed"] == 3


async def test_an_image_for_which_there_is_no_memory_is_not_called_damaged() -> None:
    async with processes(1, memory_bytes=2**26) as pool:
        with pytest.raises(ImageTooCostly, match="bytes of memory"):
            await pool.perform(PIXELS, bytes(80 * 2**20), start_tag=0)
        assert (await pool.perform(PIXELS, png(1), start_tag=0)).data


async def test_the_system_ends_a_worker_before_the_service() -> None:
    async with processes(1) as pool:
        score = await asyncio.to_thread(Path(f"/proc/{await process_of(pool)}/oom_score_adj").read_text)
    assert score.strip() == "1000"


async def test_stopping_waits_for_no_decoder() -> None:
    async with processes(1, cpu_s=PATIENCE_S) as pool:
        sleeping = asyncio.create_task(pool.perform(PIXELS, b"sleep", start_tag=0))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        pool.stop()
        with pytest.raises(NotReady):
            await sleeping
        assert time.monotonic() - began < 2


async def test_the_workers_end_with_the_pool() -> None:
    async with processes() as pool:
        process = psutil.Process(await process_of(pool))
    await until(lambda: not process.is_running())
