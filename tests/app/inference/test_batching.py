"""Micro-batching, with functions instead of a device: no torch, no HTTP."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from app.errors import EncodingFailed
from app.inference.batch_runner import SLOW_BATCH_S
from app.inference.batching import MicroBatcher
from app.inference.device_executor import DeviceExecutor
from tests.support.doubling_device import Batcher, Device, Numbers, all_of, started, submitted
from tests.support.patience import PATIENCE_S, until

SLOW_S = 1.2 * SLOW_BATCH_S


@pytest.fixture
def device() -> Device:
    return Device()


def slowly(device: Device) -> Callable[[Any], Any]:
    def run(parts: Sequence[Numbers]) -> Any:
        time.sleep(SLOW_S)
        return device.run(parts)

    return run


async def test_entries_that_arrive_together_share_a_device_call(device: Device) -> None:
    async with started(device) as batcher:
        assert await all_of(submitted(batcher, 1, 2, 3)) == [2, 4, 6]
        assert device.batches == [[1, 2, 3]]
        assert (batcher.batches, batcher.entries) == (1, 3)


async def test_a_lone_entry_waits_for_no_timer(device: Device) -> None:
    async with started(device) as batcher:
        async with asyncio.timeout(1):
            assert await batcher.submit(7, key=7) == 14


async def test_the_next_batch_is_staged_while_the_device_works_and_grows_until_its_turn(device: Device) -> None:
    async with started(device) as batcher:
        with device.held():
            first = submitted(batcher, 1)
            await until(lambda: device.batches == [[1]])
            second = submitted(batcher, 2)
            await until(lambda: device.staged[1:] == [[2]])  # staged, while the first is still on the device
            third = submitted(batcher, 3, 4)
            await until(lambda: device.staged[2:] == [[3, 4]])
            assert device.batches == [[1]]
        assert await all_of([*first, *second, *third]) == [2, 4, 6, 8]
    assert device.batches == [[1], [2, 3, 4]]


async def test_a_batch_stays_within_the_budget(device: Device) -> None:
    async with started(device, budget=4) as batcher:
        with device.held():
            first = submitted(batcher, 0)
            await until(lambda: device.batches == [[0]])
            rest = submitted(batcher, *range(1, 11))
        await all_of([*first, *rest])
    assert device.batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


async def test_a_single_entry_over_the_budget_runs_alone(device: Device) -> None:
    async with started(device, budget=4) as batcher:
        assert await batcher.submit(1, key=1, size=100) == 2


async def test_near_lengths_go_together_and_the_oldest_goes_first(device: Device) -> None:
    async with started(device, budget=80) as batcher:
        with device.held():
            first = submitted(batcher, 0)
            await until(lambda: device.batches == [[0]])
            rest = [submitted(batcher, size, size=size)[0] for size in (70, 8, 71, 9, 30, 10)]
        await all_of([*first, *rest])
    assert device.batches == [[0], [70], [8, 9, 10], [71], [30]]


async def test_two_batchers_take_turns_on_one_device(device: Device) -> None:
    async with started(device, budget=1) as images, started(device, budget=1) as texts:
        with device.held():
            first = submitted(images, 0)
            await until(lambda: device.batches == [[0]])
            rest = [*submitted(images, 1, 2, 3), *submitted(texts, 101, 102, 103)]
        await all_of([*first, *rest])
    assert sorted(device.batches[1:]) == [[1], [2], [3], [101], [102], [103]]
    sides = [batch[0] > 100 for batch in device.batches[1:]]
    assert sides[:5] in ([True, False] * 2 + [True], [False, True] * 2 + [False])


async def test_a_device_that_takes_two_calls_gets_two_batches_at_once() -> None:
    threads, together = DeviceExecutor(2), threading.Barrier(2)

    def run(parts: Sequence[Numbers]) -> list[int]:
        together.wait(PATIENCE_S)  # breaks if the other batch has to wait for this one
        return [2 * number for part in parts for number in part]

    batcher: Batcher = MicroBatcher(threads, stage=list, run=run, budget=1)
    batcher.start()
    assert await all_of(submitted(batcher, 1, 2, 3, 4)) == [2, 4, 6, 8]
    assert threads.turn.free == 2
    await batcher.stop()


async def test_concurrent_slow_batches_divide_the_queue() -> None:
    threads, sizes = DeviceExecutor(2), list[int]()

    def run(parts: Sequence[Numbers]) -> list[int]:
        time.sleep(SLOW_S)
        sizes.append(sum(map(len, parts)))
        return [2 * number for part in parts for number in part]

    batcher: Batcher = MicroBatcher(threads, stage=list, stage_in_thread=False, run=run, budget=100)
    batcher.start()
    await all_of(submitted(batcher, *range(8)))  # of which nobody knows yet how long they take
    assert await all_of(submitted(batcher, *range(9))) == [2 * number for number in range(9)]
    assert (sizes[0], sorted(sizes[1:])) == (8, [4, 5])
    await batcher.stop()


async def test_after_a_slow_batch_of_several_the_next_waits_briefly_for_the_same_clients(device: Device) -> None:
    async with started(device, run=slowly(device), coalesce_fraction=10) as batcher:
        await all_of(submitted(batcher, 1, 2))
        first = submitted(batcher, 3)
        await asyncio.sleep(0.01)
        await all_of([*first, *submitted(batcher, 4)])
    assert device.batches == [[1, 2], [3, 4]]


async def test_a_single_client_is_not_delayed(device: Device) -> None:
    async with started(device, run=slowly(device), coalesce_fraction=1000) as batcher:
        assert await all_of(submitted(batcher, 1)) == [2]
        assert await all_of(submitted(batcher, 2)) == [4]


async def test_stopping_fails_all_batches_that_run() -> None:
    threads, leave = DeviceExecutor(2), threading.Event()
    batcher: Batcher = MicroBatcher(threads, stage=list, run=lambda _: [leave.wait(PATIENCE_S)], budget=1)
    batcher.start()
    running = submitted(batcher, 1, 2)
    await until(lambda: threads.turn.free == 0)
    await batcher.stop()
    leave.set()
    assert [type(error) for error in await all_of(running)] == [EncodingFailed] * 2


async def test_cancelled_entries_never_reach_the_device(device: Device) -> None:
    async with started(device, budget=2) as batcher:
        with device.held():
            first = submitted(batcher, 1)
            await until(lambda: device.batches == [[1]])
            staged = submitted(batcher, 2, 3)
            await until(lambda: device.staged[1:] == [[2, 3]])
            queued = submitted(batcher, 4, 5)
            await asyncio.sleep(0)
            for task in (staged[0], queued[1]):
                task.cancel()
        assert await all_of([first[0], staged[1], queued[0]]) == [2, 6, 8]
        await until(lambda: batcher.dropped == 2)
    assert sorted(number for batch in device.batches for number in batch) == [1, 3, 4]


async def test_of_a_failed_batch_only_the_bad_entry_fails(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    device.bad = {2}
    async with started(device) as batcher:
        one, two, three = await all_of(submitted(batcher, 1, 2, 3))
    assert (one, three) == (2, 6)
    assert isinstance(two, EncodingFailed)
    assert str(two) == "the device failed on it (ValueError)."
    assert device.batches == [[1, 2, 3], [1], [2], [3]]
    assert "a batch of 3 entries failed (ValueError); they are computed one by one" in caplog.text


async def test_when_memory_runs_out_batches_get_smaller_and_grow_back(device: Device) -> None:
    most = 2

    def run(parts: Sequence[Numbers]) -> Any:
        if sum(map(len, parts)) > most:
            raise MemoryError
        return device.run(parts)

    async def batch_sizes(*numbers: int) -> list[int]:
        device.batches.clear()
        with device.held():
            first = submitted(batcher, 1000)
            await until(lambda: bool(device.batches))
            rest = submitted(batcher, *numbers)
        assert await all_of([*first, *rest]) == [2000, *(2 * number for number in numbers)]
        return [len(batch) for batch in device.batches[1:]]

    async with started(device, budget=8, run=run) as batcher:
        assert await batch_sizes(*range(8)) == [1] * 8  # too large, so one by one; none of them fails
        await batch_sizes(*range(8))  # of four, the half of eight, still too large
        assert await batch_sizes(*range(8)) == [2, 2, 2, 2]
        most = 8
        while (await batch_sizes(*range(8)))[0] < 8:
            pass


async def test_of_a_batch_that_cannot_be_staged_only_the_bad_entry_fails(device: Device) -> None:
    device.unstageable = {2}
    async with started(device) as batcher:
        one, two, three = await all_of(submitted(batcher, 1, 2, 3))
        assert (one, three) == (2, 6)
        assert isinstance(two, EncodingFailed)
        assert await batcher.submit(4, key=4) == 8


@pytest.mark.parametrize("wrong", [[], [1] * 5, None, 7, iter([]), StopIteration(), MemoryError()])
async def test_a_device_that_returns_wrong_results_fails_the_entries_and_goes_on(device: Device, wrong: Any) -> None:
    def run(parts: Sequence[Numbers]) -> Any:
        if [0] in parts:
            return device.run(parts)
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    async with started(device, run=run) as batcher:
        outcome = await all_of(submitted(batcher, 1, 2, 3))
        assert [type(error) for error in outcome] == [EncodingFailed] * 3
        assert await batcher.submit(0, key=0) == 0


async def test_results_of_a_wrong_count_are_discarded(device: Device) -> None:
    async with started(device, run=lambda parts: [2 * number for part in parts for number in part][1:]) as batcher:
        outcome = await all_of(submitted(batcher, 1, 2, 3))
    assert [type(error) for error in outcome] == [EncodingFailed] * 3


async def test_stopping_ends_every_wait(device: Device) -> None:
    batcher: Batcher = MicroBatcher(device.thread, stage=device.stage, run=device.run, budget=1)
    batcher.start()
    with device.held():
        running = submitted(batcher, 1)
        await until(lambda: device.batches == [[1]])
        staged = submitted(batcher, 2)
        await until(lambda: device.staged[1:] == [[2]])
        queued = submitted(batcher, 3, 4)
        await asyncio.sleep(0)
        await batcher.stop()
        outcome = await all_of([*running, *staged, *queued])
    assert [type(error) for error in outcome] == [EncodingFailed] * 4
    with pytest.raises(EncodingFailed):
        await batcher.submit(5, key=5)


async def test_stopping_one_batcher_leaves_the_device_to_the_other(device: Device) -> None:
    staging = threading.Event()

    def stage(numbers: Numbers) -> Numbers:
        assert staging.wait(PATIENCE_S)
        return numbers

    images: Batcher = MicroBatcher(device.thread, stage=stage, run=device.run, budget=4)
    images.start()
    async with started(device) as texts:
        stuck = submitted(images, 1)
        await until(lambda: device.thread.turn.free == 0)  # it is the turn of the images, which are still being staged
        waiting = submitted(texts, 2)
        await asyncio.sleep(0.01)
        await images.stop()
        assert [type(error) for error in await all_of(stuck)] == [EncodingFailed]
        assert await all_of(waiting) == [4]
        staging.set()


async def test_a_batcher_that_never_started_can_be_stopped(device: Device) -> None:
    batcher: Batcher = MicroBatcher(device.thread, stage=device.stage, run=device.run, budget=1)
    await batcher.stop()


async def test_what_needs_no_staging_is_put_together_when_the_device_is_free(device: Device) -> None:
    async with started(device, stage_in_thread=False) as batcher:
        with device.held():
            first = submitted(batcher, 1)
            await until(lambda: device.batches == [[1]])
            rest = submitted(batcher, 2, 3)
            await asyncio.sleep(0.01)
            assert device.staged == [[1]]
        assert await all_of([*first, *rest]) == [2, 4, 6]
    assert device.staged == device.batches == [[1], [2, 3]]


async def test_wait_s_gathers_entries_that_arrive_shortly_after(device: Device) -> None:
    async with started(device, wait_s=0.2) as batcher:
        first = submitted(batcher, 1)
        await asyncio.sleep(0.02)
        assert await all_of([*first, *submitted(batcher, 2)]) == [2, 4]
    assert device.batches == [[1, 2]]
