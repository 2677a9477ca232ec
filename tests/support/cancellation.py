"""Acts at a chosen await point of a call, such as cancelling it there, so that a test can try every point."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

Call = Callable[[], Coroutine[Any, Any, object]]
Waited = asyncio.Future[Any] | None
"""What a task waits for at an await point; None for `asyncio.sleep(0)`."""


async def cancel_at(call: Call, point: int, *, late: bool = False) -> bool:
    """Run a call as a task of its own, and cancel it at one of its await points.

    Args:
        call: makes the coroutine.
        point: number of the await point, counted from 0; see `at_point`.
        late: False, the default, cancels while the call waits there. True cancels when the wait has ended, just before
            the call goes on: what it waited for is then granted, and must be given back.

    Returns:
        True if the call was cancelled; False if it ended before that point. Its task is done in both cases.

    Raises:
        AssertionError: the call swallowed its cancellation.
        Exception: what the call raised instead of its cancellation, or before that point.
    """
    loop, sent = asyncio.get_running_loop(), False
    task: asyncio.Task[object]

    def cancel(*_: object) -> None:
        nonlocal sent
        sent = task.cancel()

    def cancel_late(waited: Waited) -> None:
        if waited is None:
            loop.call_soon(cancel)
        else:
            waited.add_done_callback(cancel)

    with at_point(loop, point, cancel_late if late else cancel):
        task = loop.create_task(call())
        await asyncio.wait({task})
    if task.cancelled():
        return True
    task.result()
    assert not sent, f"the call was cancelled at point {point}, and ended as if nothing had happened"
    return False


async def cancel_everywhere(call: Call, check: Callable[[], Awaitable[None]], *, late: bool = False) -> int:
    """Run a call again and again, and cancel it at its first await point, then at its second, until it ends.

    Args:
        call: makes the coroutine.
        check: called after each run that was cancelled.
        late: see `cancel_at`.

    Returns:
        The number of await points.
    """
    point = 0
    while await cancel_at(call, point, late=late):
        await check()
        point += 1
    return point


@contextmanager
def at_point(loop: asyncio.AbstractEventLoop, point: int, action: Callable[[Waited], object]) -> Iterator[None]:
    """Call `action` when the tasks that start in the `with` block come to an await point for the `point`-th time.

    An await point is a place where a task waits, in any of the coroutines that it awaits. A place in a loop counts
    once per round. Tasks that existed before the block are not counted. All tasks that others start on the loop in the
    meantime are counted.

    Args:
        loop: the loop of the tasks; it may run in another thread.
        point: counted from 0.
        action: called in the thread of the loop, before the task waits.
    """
    points = count()

    def waits(waited: Waited) -> None:
        if next(points) == point:
            action(waited)

    def watched_task(loop: asyncio.AbstractEventLoop, made: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(_watched(made, waits), loop=loop, **options)
        task.add_done_callback(lambda _: made.close())  # a task that is cancelled at once never starts it
        return task

    factory = loop.get_task_factory()
    loop.set_task_factory(watched_task)
    try:
        yield
    finally:
        loop.set_task_factory(factory)


async def _watched(coroutine: Coroutine[Any, Any, Any], waits: Callable[[Waited], None]) -> Any:
    return await _stepwise(coroutine, waits)


@types.coroutine
def _stepwise(coroutine: Coroutine[Any, Any, Any], waits: Callable[[Waited], None]) -> Generator[Any, Any, Any]:
    """Run a coroutine; `waits` is called before each of its waits."""
    step = partial(coroutine.send, None)
    while True:
        try:
            waited = step()
        except StopIteration as end:
            return end.value
        waits(waited)
        try:
            step = partial(coroutine.send, (yield waited))
        except BaseException as error:  # noqa: BLE001, it belongs to the coroutine
            step = partial(coroutine.throw, error)
