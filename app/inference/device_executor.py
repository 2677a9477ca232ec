"""Threads beside the event loop: how it waits for them, and those that call the device."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.inference.fair_queueing import RoundRobinSemaphore

Value = TypeVar("Value")


class DeviceExecutor:
    """The threads that call the device, and the turns on them: a text waits for one image batch, and no longer.

    A GPU has one. A CPU has several: threads that share one call's work wait for each other after every layer, and for
    the threads that decode, so where there is work for several calls each does better with fewer threads of its own.
    """

    def __init__(self, calls: int = 1) -> None:
        self.turn = RoundRobinSemaphore(calls)
        self.executor = ThreadPoolExecutor(calls, thread_name_prefix="device")
        self._calls = calls
        self._called_at: dict[object, float] = {}

    @property
    def silent_s(self) -> float:
        """Seconds since the oldest call that has not come back yet; 0 when there is none."""
        now = time.monotonic()
        return now - min(self._called_at.values(), default=now)

    @property
    def share(self) -> int:
        """Among how many calls the one that begins now shares the CPUs: one if it is alone, else as many as can be."""
        return self._calls if len(self._called_at) > 1 else 1

    async def call(self, function: Callable[[], Value]) -> Value:
        """Run a function on one of the device's threads; only for who has a turn."""
        call = object()
        self._called_at[call] = time.monotonic()
        try:
            return await in_thread(self.executor, function)
        finally:
            del self._called_at[call]


async def in_thread(executor: ThreadPoolExecutor, function: Callable[[], Value]) -> Value:
    """Run a function in a pool. A StopIteration, which no future can hold, would never end the wait on Python 3.11."""

    def call() -> Value:
        try:
            return function()
        except StopIteration as error:
            raise RuntimeError("an iterator ended too early") from error

    return await asyncio.get_running_loop().run_in_executor(executor, call)
