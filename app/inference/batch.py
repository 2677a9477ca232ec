"""Entries, and the batch that is assembled from them."""

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

Payload = TypeVar("Payload")
Staged = TypeVar("Staged")
Result = TypeVar("Result")


class Entry(Generic[Payload, Result]):
    """A distinct payload, and the futures of all callers that wait for its result.

    Args:
        payload: input of the device.
        key: equal for payloads that are deduplicated.
        size: 1 for an image, the number of tokens for a text.
        start_tag: priority; the lowest is served first (see `app.fair_queueing`).
    """

    def __init__(self, payload: Payload, key: Hashable, size: int, start_tag: float) -> None:
        self.payload, self.key, self.size = payload, key, size
        self.start_tag = start_tag
        self.device_began = self.device_ended = 0.0
        self.waiters: list[asyncio.Future[Result]] = []

    @property
    def wanted(self) -> bool:
        """Whether a caller still waits; cancelled and expired requests do not."""
        return any(not waiter.done() for waiter in self.waiters)

    def answer(self, result: Result, device_began: float, device_ended: float) -> None:
        """Give the result to all callers, with the times of `time.perf_counter` at which the device began and ended."""
        self.device_began, self.device_ended = device_began, device_ended
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(result)

    def fail(self, error: Exception) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)


class Batch(Generic[Payload, Staged, Result]):
    """A batch that is being assembled: its entries, and their staged parts in the same order."""

    def __init__(self) -> None:
        self.entries: list[Entry[Payload, Result]] = []
        self.parts: list[Staged] = []
        self.staging_error: Exception | None = None

    @property
    def cost(self) -> int:
        """Cost with padding: the number of entries times the largest size."""
        return len(self.entries) * max((entry.size for entry in self.entries), default=0)

    def staged(self) -> list[Staged]:
        """The staged parts; raises the error of a part that could not be staged."""
        if self.staging_error is not None:
            raise self.staging_error
        return self.parts
