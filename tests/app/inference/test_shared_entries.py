"""Equal entries share one computation: cancelling some of those who wait for it never costs the others."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import product

import pytest

from tests.support.doubling_device import Batcher, Device, Numbers, all_of, started, submitted
from tests.support.patience import PATIENCE_S, until

SHARED, WAITERS = 5, 3
LEAVING = [choice for choice in product([True, False], repeat=WAITERS) if any(choice)]
"""Which of the waiters leave: each alone, each two, and all."""

Scene = Callable[[Device, Batcher], AbstractAsyncContextManager[list[asyncio.Task[int]]]]


def waiting(batcher: Batcher) -> list[asyncio.Task[int]]:
    return submitted(batcher, *[SHARED] * WAITERS)


@asynccontextmanager
async def queued(device: Device, batcher: Batcher) -> AsyncIterator[list[asyncio.Task[int]]]:
    """One batch is on the device and the next one is full, so that the entry stays in the queue."""
    with device.held():
        others = submitted(batcher, 1)
        await until(lambda: device.batches == [[1]])
        others += submitted(batcher, 2, 3, 4, 6)
        await until(lambda: device.staged[1:] == [[2, 3, 4, 6]])
        tasks = waiting(batcher)
        await until(lambda: batcher.shared == WAITERS - 1)
        yield tasks
        assert SHARED not in [number for numbers in device.staged for number in numbers]
    assert await all_of(others) == [2, 4, 6, 8, 12]


@asynccontextmanager
async def being_staged(device: Device, batcher: Batcher) -> AsyncIterator[list[asyncio.Task[int]]]:
    """A thread stages the entry."""
    begun, may_end = threading.Event(), threading.Event()

    def stage(numbers: Numbers) -> Numbers:
        begun.set()
        assert may_end.wait(PATIENCE_S)
        return list(numbers)

    batcher._runner._stage = stage
    tasks = waiting(batcher)
    await until(begun.is_set)
    yield tasks
    may_end.set()


@asynccontextmanager
async def staged(device: Device, batcher: Batcher) -> AsyncIterator[list[asyncio.Task[int]]]:
    """The entry is staged, beside another one, and waits for its turn on the device."""
    with device.held():
        others = submitted(batcher, 1)
        await until(lambda: device.batches == [[1]])
        tasks = waiting(batcher)
        others += submitted(batcher, 2)
        await until(lambda: device.staged[1:] == [[SHARED, 2]])
        yield tasks
    assert await all_of(others) == [2, 4]


@asynccontextmanager
async def running(device: Device, batcher: Batcher) -> AsyncIterator[list[asyncio.Task[int]]]:
    """The entry is on the device."""
    with device.held():
        tasks = waiting(batcher)
        await until(lambda: device.batches == [[SHARED]])
        yield tasks


@asynccontextmanager
async def running_beside_a_bad_entry(device: Device, batcher: Batcher) -> AsyncIterator[list[asyncio.Task[int]]]:
    """The entry is on the device, in a batch that fails and is computed again entry by entry."""
    device.bad = {7}
    with device.held():
        tasks = waiting(batcher)
        bad = submitted(batcher, 7)
        await until(lambda: device.batches == [[SHARED, 7]])
        yield tasks
    await all_of(bad)


async def test_equal_keys_that_meet_before_the_device_are_computed_once() -> None:
    device = Device()
    async with started(device) as batcher:
        with device.held():
            first = submitted(batcher, 1)
            await until(lambda: device.batches == [[1]])
            twins = submitted(batcher, 5, 5, 5)
            late = submitted(batcher, 1)  # its twin is on the device already, so this one is computed again
        assert await all_of([*first, *twins, *late]) == [2, 10, 10, 10, 2]
        assert batcher.shared == 2
    assert device.batches == [[1], [5, 1]]


@pytest.mark.parametrize("leaving", LEAVING, ids=["".join("lw"[not leaves] for leaves in choice) for choice in LEAVING])
@pytest.mark.parametrize("scene", [queued, being_staged, staged, running, running_beside_a_bad_entry])
async def test_whoever_leaves_the_others_get_their_result(scene: Scene, leaving: tuple[bool, ...]) -> None:
    device = Device()
    async with started(device) as batcher:
        async with scene(device, batcher) as tasks:
            for task, leaves in zip(tasks, leaving, strict=True):
                if leaves:
                    task.cancel()
            await asyncio.wait([task for task, leaves in zip(tasks, leaving, strict=True) if leaves])
        outcome = await all_of(tasks)
        for result, leaves in zip(outcome, leaving, strict=True):
            assert isinstance(result, asyncio.CancelledError) if leaves else result == 2 * SHARED
        assert await batcher.submit(8, key=8) == 16
        assert not len(batcher._queue)
        assert not batcher._queue.unanswered


@pytest.mark.parametrize("scene", [queued, staged])
async def test_an_entry_that_all_have_left_is_dropped_and_can_be_asked_for_again(scene: Scene) -> None:
    device = Device()
    async with started(device) as batcher:
        async with scene(device, batcher) as tasks:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await until(lambda: batcher.dropped == 1)
        assert SHARED not in [number for batch in device.batches for number in batch]
        assert await batcher.submit(SHARED, key=SHARED) == 2 * SHARED


@pytest.mark.parametrize("scene", [queued, staged])
async def test_who_comes_after_all_others_have_left_shares_the_entry(scene: Scene) -> None:
    device = Device()
    async with started(device) as batcher:
        async with scene(device, batcher) as tasks:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            (late,) = submitted(batcher, SHARED)
            await asyncio.sleep(0)
        assert await all_of([late]) == [2 * SHARED]
        assert batcher.dropped == 0
