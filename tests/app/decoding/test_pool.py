"""The pool of decoders: the order of tasks, the choice of a worker, and the replacement of workers that ended."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.decoding.decoder import Reply, Task
from app.decoding.pool import DecoderPool
from app.decoding.workers import Worker
from app.errors import NotReady
from model.errors import ImageDecodeError

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

    async def end(self, worker: int, reply: Reply | Exception = Reply()) -> None:  # noqa: B008 (frozen)
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


async def test_a_file_that_is_costly_to_open_is_opened_once_even_while_it_is_being_opened() -> None:
    asking, file = Asking(), object()
    await asking.ask("file", file=file, may_spread=False)
    await asking.ask("file", file=file, may_spread=False)
    assert asking.seen() == [["file"], []]
    await asking.end(0)
    assert asking.seen() == [["file", None], []]


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
