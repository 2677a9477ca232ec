"""Calls of the device in threads, and the turns of those who want to call it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.fair_queueing import RoundRobinSemaphore
from app.threads import in_thread

Value = TypeVar("Value")


class DeviceExecutor:
    """Threads that call the device. Batchers take turns, so that a text waits for at most one image batch.

    A GPU has one thread. A CPU has several: the torch threads that share one call wait for each other after every
    layer, and for the threads that decode. With work for several calls, each is faster with fewer torch threads.

    Args:
        max_calls: number of calls that may run in parallel.
    """

    def __init__(self, max_calls: int = 1) -> None:
        self.turn = RoundRobinSemaphore(max_calls)
        self.executor = ThreadPoolExecutor(max_calls, thread_name_prefix="device")
        self._max_calls = max_calls
        self._started_at: dict[object, float] = {}

    @property
    def silent_s(self) -> float:
        """Seconds since the start of the oldest call that runs; 0 if none runs."""
        now = time.monotonic()
        return now - min(self._started_at.values(), default=now)

    def excuse(self, paused_s: float) -> None:
        """Do not count seconds in which this process did not run towards the age of the calls."""
        now = time.monotonic()
        for call, began in self._started_at.items():
            self._started_at[call] = min(now, began + paused_s)

    @property
    def parallel_calls(self) -> int:
        """Number of calls among which the CPU threads are divided: 1 if no other call runs, otherwise the maximum."""
        return self._max_calls if len(self._started_at) > 1 else 1

    async def call(self, function: Callable[[], Value]) -> Value:
        """Run a function in a device thread; the caller must hold a turn."""
        call = object()
        self._started_at[call] = time.monotonic()
        try:
            return await in_thread(self.executor, function)
        finally:
            del self._started_at[call]
