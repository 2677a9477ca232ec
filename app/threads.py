"""Threads beside the event loop: how it waits for them, and the one that owns the device."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.fairness import RoundRobinLock

Value = TypeVar("Value")


class DeviceThread:
    """The one thread that calls the device, and the turns on it: a text waits for one image batch, and no longer."""

    def __init__(self) -> None:
        self.turn = RoundRobinLock()
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._called_at: float | None = None

    @property
    def silent_s(self) -> float:
        """Seconds since the call that has not come back yet; 0 when there is none."""
        return 0.0 if self._called_at is None else time.monotonic() - self._called_at

    async def call(self, function: Callable[[], Value]) -> Value:
        """Run a function on the device's thread; only for who has the turn."""
        self._called_at = time.monotonic()
        try:
            return await in_thread(self.executor, function)
        finally:
            self._called_at = None


async def in_thread(executor: ThreadPoolExecutor, function: Callable[[], Value]) -> Value:
    """Run a function in a pool. A StopIteration, which no future can hold, would never end the wait on Python 3.11."""

    def call() -> Value:
        try:
            return function()
        except StopIteration as error:
            raise RuntimeError("an iterator ended too early") from error

    return await asyncio.get_running_loop().run_in_executor(executor, call)
