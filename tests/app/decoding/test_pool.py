"""The pool of decoders: the order of tasks, the choice of a worker, and the replacement of workers that ended."""

import asyncio
import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest

from app.decoding import workers
from app.decoding.decoder import Reply, Task
from app.decoding.pool import DecoderPool
from app.decoding.workers import Worker
from app.errors import NotReady
from model.errors import DecoderFailed, ImageDecodeError, ImageTooCostly, OutOfMemory
from tests.support.hostile_decoders.fork_server import PROGRAM
from tests.support.patience import PATIENCE_S, until
from tests.support.samples import png

MAX_PIXELS = 1_000_000
PIXELS = Task("pixels", MAX_PIXELS, image_size=(8, 8))


class HeldWorker:
    """A worker whose tasks last until the test lets them end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kept: object | None = None
        self.has_ended = self.is_stopped = False
        self.can_be_ended = True
        self.tasks: list[tuple[Any, asyncio.Future[Reply]]] = []
        self.forgotten = 0

    async def perform(self, task: Task, payload: Any) -> Reply:
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.tasks.append((payload, reply))
        return await reply

    def end(self, reply: Reply | Exception = Reply()) -> None:  # noqa: B008 (frozen)
        """Let the task of this worker end."""
        _, future = self.tasks[-1]
        if isinstance(reply, Exception):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    def forget(self) -> None:
        self.kept = None
        self.forgotten += 1

    def kill(self) -> None:
        pass

    def abandon(self, replaced: Callable[[Worker], None]) -> None:
        self.is_stopped = True
        replaced(HeldWorker(f"{self.name}'"))

    def stop(self) -> None:
        self.is_stopped = True


class Asking:
    """A pool of two held workers, and the tasks that a test gives to it."""

    def __init__(self) -> None:
        self.workers = [HeldWorker("a"), HeldWorker("b")]
        self.pool = DecoderPool(self.workers, cpu_s=1.0)

    async def ask(
        self, payload: str, *, tag: float = 0.0, file: object | None = None, may_spread: bool = True
    ) -> asyncio.Task[Reply]:
        task = asyncio.create_task(self.pool.perform(PIXELS, payload, start_tag=tag, file=file, may_spread=may_spread))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return task

    async def end(self, worker: int, reply: Reply | Exception = Reply()) -> None:  # noqa: B008
        self.workers[worker].end(reply)
        for _ in range(5):
            await asyncio.sleep(0)

    def seen(self) -> list[list[Any]]:
        """The payloads that each worker got; None is the file that it keeps open."""
        return [[payload for payload, _ in worker.tasks] for worker in self.workers]


async def test_the_lowest_start_tag_comes_first() -> None:
    asking = Asking()
    for payload, tag in (("one", 1), ("two", 2), ("late", 9), ("soon", 4), ("sooner", 3)):
        await asking.ask(payload, tag=tag)
    assert (asking.pool.busy, asking.pool.waiting) == (2, 3)
    await asking.end(0)
    await asking.end(1)
    assert asking.seen() == [["one", "sooner"], ["two", "soon"]]


async def test_a_request_of_one_image_is_served_before_the_rest_of_a_large_one() -> None:
    asking = Asking()
    large = asking.pool.flow()
    for number in range(6):
        await asking.ask(f"large {number}", tag=large.next_start_tag())
    await asking.ask("small", tag=asking.pool.flow().next_start_tag())
    await asking.end(0)
    await asking.end(1)
    assert "small" in asking.seen()[0] + asking.seen()[1]


async def test_the_frames_of_a_file_go_to_the_worker_that_has_it_open() -> None:
    asking, file = Asking(), object()
    await asking.ask("file", file=file)
    await asking.end(0)
    await asking.ask("file", file=file)
    assert asking.seen() == [["file", None], []]  # None: the worker has the file
    await asking.ask("file", file=file)
    assert asking.seen() == [["file", None], ["file"]]  # a worker without an open file opens it as well
    await asking.end(0)
    await asking.end(1)
    asking.pool.forget(file)
    assert [worker.forgotten for worker in asking.workers] == [1, 1]


async def test_a_file_that_is_costly_to_open_is_opened_by_one_worker() -> None:
    asking, file = Asking(), object()
    await asking.ask("file", file=file)
    await asking.end(0)
    await asking.ask("file", file=file)
    await asking.ask("file", file=file, may_spread=False)
    assert asking.seen() == [["file", None], []]
    await asking.end(0)
    assert asking.seen() == [["file", None, None], []]


async def test_a_file_does_not_displace_the_open_file_of_another_request() -> None:
    asking, mine, other = Asking(), object(), object()
    for file in (mine, other):
        await asking.ask(f"{file}", file=file)
    await asking.end(0)
    await asking.end(1)
    await asking.ask("image", tag=1)  # takes the worker with my file
    waiting = await asking.ask("mine", tag=2, file=mine)
    assert not waiting.done()
    assert asking.seen()[1] == [f"{other}"]  # although this worker is free
    await asking.end(0)
    assert asking.seen()[0][-1] is None


async def test_a_file_that_was_displaced_by_a_refused_one_is_sent_again() -> None:
    asking, mine = Asking(), object()
    busy = await asking.ask("image")
    await asking.ask("mine", file=mine)
    await asking.end(1)
    refused = await asking.ask("refused", file=object())
    await asking.end(1, ImageDecodeError("damaged"))
    with pytest.raises(ImageDecodeError):
        await refused
    await asking.ask("mine", file=mine)
    assert asking.seen() == [["image"], ["mine", "refused", "mine"]]
    busy.cancel()


async def test_a_busy_worker_closes_a_forgotten_file_after_its_task() -> None:
    asking, file = Asking(), object()
    await asking.ask("file", file=file)
    await asking.end(0)
    await asking.ask("file", file=file)
    asking.pool.forget(file)
    assert asking.workers[0].forgotten == 0
    await asking.end(0)
    assert asking.workers[0].forgotten == 1


async def test_a_cancelled_task_ends_its_worker_and_a_waiting_one_none() -> None:
    asking = Asking()
    running, _, waiting = [await asking.ask(name) for name in ("one", "two", "three")]
    waiting.cancel()
    running.cancel()
    await asyncio.wait([running, waiting])
    assert [worker.is_stopped for worker in asking.workers] == [True, False]
    assert (asking.pool.ends["cancelled"], asking.pool.busy, asking.pool.waiting) == (1, 1, 0)
    await asking.ask("next")
    assert asking.pool.busy == 2


async def test_a_refused_image_leaves_its_worker_alone() -> None:
    asking = Asking()
    refused = await asking.ask("bad")
    await asking.end(0, ImageDecodeError("damaged"))
    with pytest.raises(ImageDecodeError, match="damaged"):
        await refused
    assert (sum(asking.pool.ends.values()), asking.pool.busy) == (0, 0)


async def test_seconds_in_which_the_process_was_paused_do_not_count() -> None:
    asking = Asking()
    await asking.ask("one")
    assert asking.pool.hanging_s == 0  # one worker is free
    await asking.ask("two")
    await asyncio.sleep(0.05)
    assert asking.pool.silent_s >= asking.pool.hanging_s >= 0.04
    asking.pool.check(paused_s=0.05)
    assert asking.pool.silent_s < 0.04


async def test_a_worker_that_answered_while_it_was_being_ended_gets_no_other_image() -> None:
    asking = Asking()
    slow = await asking.ask("slow")
    asking.pool._busy[asking.workers[0]] -= 4.0  # more than 3 s for 1 s of CPU time
    asking.pool.check()
    await asking.end(0)
    assert await slow == Reply()
    assert (asking.workers[0].is_stopped, asking.pool.ends["time"]) == (True, 1)


async def test_a_pause_makes_no_task_younger_than_now() -> None:
    asking = Asking()
    await asking.ask("one")
    asking.pool.check(paused_s=3600)
    assert 0 <= asking.pool.silent_s < 1


async def test_a_pool_without_any_worker_is_broken_until_one_is_there() -> None:
    asking = Asking()
    for worker in asking.workers:
        worker.has_ended = True
    assert asking.pool.is_broken
    asking.pool.check()
    assert not asking.pool.is_broken
    assert asking.pool.ends["killed"] == 2


async def test_a_stopped_pool_answers_everybody() -> None:
    asking = Asking()
    tasks = [await asking.ask(name) for name in ("one", "two", "three")]
    asking.pool.stop()
    with pytest.raises(NotReady, match="stopping"):
        await tasks[2]
    with pytest.raises(NotReady):
        await asking.pool.perform(PIXELS, b"", start_tag=0)
    assert all(worker.is_stopped for worker in asking.workers)


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
    async with processes() as pool:
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
        monkeypatch.setattr("app.decoding.fork_client.subprocess.Popen", real)
        async with asyncio.timeout(PATIENCE_S):
            while pool.is_broken:
                await asyncio.sleep(0.1)
                pool.check()
            assert (await pool.perform(PIXELS, png(1), start_tag=0)).data
    finally:
        pool.stop()


async def test_a_worker_for_which_there_is_no_handle_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with processes(1, cpu_s=PATIENCE_S) as pool:
        sleeping = asyncio.create_task(pool.perform(PIXELS, b"sleep", start_tag=0))
        await asyncio.sleep(0.05)
        with monkeypatch.context() as patched:
            patched.setattr(workers, "_memory_file", mock.Mock(side_effect=OSError(errno.EMFILE, "")))
            sleeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sleeping
            assert pool.is_broken
        assert (await pool.perform(PIXELS, png(1), start_tag=0)).data


async def test_a_worker_that_sends_no_reply_is_replaced_and_its_image_refused() -> None:
    async with processes(1) as pool:
        for order in (b"babble", b"lie"):
            with pytest.raises(DecoderFailed):
                await pool.perform(PIXELS, order, start_tag=0)
        assert (await pool.perform(PIXELS, png(1), start_tag=0)).data
        assert pool.ends["crashed"] == 2


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
