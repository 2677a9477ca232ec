"""A device for the tests of the micro-batcher: it doubles numbers and records its batches."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from app.inference.batching import MicroBatcher
from app.inference.device_executor import DeviceExecutor
from tests.support.patience import PATIENCE_S

Numbers = Sequence[int]
Batcher = MicroBatcher[int, Numbers, int]


class Device:
    """Doubles numbers, one batch at a time, and records what was staged and run.

    Numbers in `bad` fail when they run, those in `unstageable` when they are staged.
    """

    def __init__(self) -> None:
        self.thread = DeviceExecutor()
        self.batches: list[list[int]] = []
        self.staged: list[list[int]] = []
        self.bad: set[int] = set()
        self.unstageable: set[int] = set()
        self.busy = False
        self._free = threading.Event()
        self._free.set()

    def stage(self, numbers: Numbers) -> Numbers:
        self.staged.append(list(numbers))
        if self.unstageable.intersection(numbers):
            raise ValueError(numbers)
        return list(numbers)

    def run(self, parts: Sequence[Numbers]) -> Iterable[int]:
        assert not self.busy, "two calls at once"
        self.busy = True
        try:
            batch = [number for part in parts for number in part]
            self.batches.append(batch)
            assert self._free.wait(PATIENCE_S)
            if self.bad.intersection(batch):
                raise ValueError(batch)
            return [2 * number for number in batch]
        finally:
            self.busy = False

    @contextmanager
    def held(self) -> Iterator[None]:
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()


@asynccontextmanager
async def started(device: Device, *, run: Callable[[Any], Any] | None = None, **options: Any) -> AsyncIterator[Batcher]:
    batcher: Batcher = MicroBatcher(device.thread, stage=device.stage, run=run or device.run, **{"budget": 4} | options)
    batcher.start()
    try:
        yield batcher
    finally:
        await batcher.stop()


def submitted(batcher: Batcher, *numbers: int, size: int = 1) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(batcher.submit(number, key=number, size=size)) for number in numbers]


async def all_of(tasks: Iterable[Awaitable[int]]) -> list[int | BaseException]:
    """The results or exceptions of all tasks. A task that does not end fails the test instead of blocking it."""
    async with asyncio.timeout(PATIENCE_S):
        return await asyncio.gather(*tasks, return_exceptions=True)
