"""What the micro-batcher moves about: an entry with those who wait for it, and a batch that is being put together."""

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

Payload = TypeVar("Payload")
Staged = TypeVar("Staged")
Result = TypeVar("Result")


class Entry(Generic[Payload, Result]):
    """A distinct payload and everybody who waits for its result."""

    def __init__(self, payload: Payload, key: Hashable, size: int, start_tag: float) -> None:
        self.payload, self.key, self.size = payload, key, size
        self.start_tag = start_tag  # see `app.inference.fair_queueing`: the lowest goes first
        self.device_began = self.device_ended = 0.0
        self.waiters: list[asyncio.Future[Result]] = []

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits: cancelled and expired requests do not."""
        return any(not waiter.done() for waiter in self.waiters)

    def answer(self, result: Result, device_began: float, device_ended: float) -> None:
        """Hand out the result, and when, on `time.perf_counter`'s clock, the device worked on it."""
        self.device_began, self.device_ended = device_began, device_ended
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(result)

    def fail(self, error: Exception) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)


class Batch(Generic[Payload, Staged, Result]):
    """A batch that is being put together: its entries, and their staged parts in the same order."""

    def __init__(self) -> None:
        self.entries: list[Entry[Payload, Result]] = []
        self.parts: list[Staged] = []
        self.staging_error: Exception | None = None

    @property
    def cost(self) -> int:
        """What padding makes of it: the number of entries times the largest size."""
        return len(self.entries) * max((entry.size for entry in self.entries), default=0)

    def staged(self) -> list[Staged]:
        """The parts; raises what the staging of one of them raised."""
        if self.staging_error is not None:
            raise self.staging_error
        return self.parts
