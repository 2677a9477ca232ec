"""Calls of the device: how many run in parallel, and among how many the CPU threads are divided."""

import asyncio
import threading

import pytest

from app.inference.device_executor import DeviceExecutor
from tests.support.patience import PATIENCE_S, until


@pytest.mark.parametrize("calls", [1, 3])
async def test_as_many_calls_as_allowed_go_on_at_once(calls: int) -> None:
    device, together = DeviceExecutor(calls), threading.Barrier(calls)
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(device.call(lambda: together.wait(PATIENCE_S)) for _ in range(calls)))


async def test_a_call_beside_others_is_to_share_the_cpus() -> None:
    device, leave = DeviceExecutor(4), threading.Event()
    assert await device.call(lambda: device.parallel_calls) == 1
    other = asyncio.create_task(device.call(lambda: leave.wait(PATIENCE_S)))
    await until(lambda: device.silent_s > 0)
    assert await device.call(lambda: device.parallel_calls) == 4  # more may come while it runs
    leave.set()
    await other
    assert await device.call(lambda: device.parallel_calls) == 1


async def test_silence_is_the_age_of_the_oldest_call() -> None:
    device, leave = DeviceExecutor(2), threading.Event()
    assert device.silent_s == 0
    hanging = asyncio.create_task(device.call(lambda: leave.wait(PATIENCE_S)))
    await until(lambda: device.silent_s > 0.05)
    await device.call(lambda: None)  # that others come back makes it no younger
    assert device.silent_s > 0.05
    leave.set()
    await hanging
    assert device.silent_s == 0
