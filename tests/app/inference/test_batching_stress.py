"""Micro-batching under load, with duplicates, cancellations and failures."""

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from app.errors import EncodingFailed
from tests.support.doubling_device import Batcher, Device, all_of, started, submitted
from tests.support.patience import PATIENCE_S


@pytest.mark.parametrize("seed", range(3))
async def test_stress(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each of 2,000 submissions to two batchers ends with the right result or the right error."""
    chance = random.Random(seed)
    device = Device()
    device.bad = {number for number in range(200) if number % 41 == 0}
    device.unstageable = {number for number in range(200) if number % 67 == 0}
    hopeless = device.bad | device.unstageable

    async def client(batcher: Batcher) -> None:
        await asyncio.sleep(chance.random() * 0.5)
        number = chance.randrange(200)
        task = asyncio.create_task(batcher.submit(number, key=number, size=chance.choice([1, 1, 2, 5])))
        if chance.random() < 0.3:
            await asyncio.sleep(chance.random() * 0.02)
            task.cancel()
        try:
            assert await task == 2 * number
            assert number not in hopeless
        except EncodingFailed:
            assert number in hopeless
        except asyncio.CancelledError:
            assert task.cancelled()

    async with AsyncExitStack() as stack:
        batchers = [await stack.enter_async_context(started(device, budget=8)) for _ in range(2)]
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(client(batchers[number % 2]) for number in range(2000)))
        assert await all_of(submitted(batchers[0], 1)) == [2]
        assert device.thread.turn.free or device.busy
        assert not any(len(batcher._queue) or batcher._queue.unanswered for batcher in batchers)
    assert "never retrieved" not in caplog.text
    assert "broke" not in caplog.text
    assert all(len(batch) <= 8 for batch in device.batches)
