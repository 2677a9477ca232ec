"""Start-time fair queueing (Goyal, Vin and Cheng, 1996), so that a large request delays no small one.

Every request is a flow of equal weight. The start tag of its first entry is the queue's virtual time, that of each
further entry is the end of the one before. The entry with the lowest start tag is served first.
A request of one row is therefore served before the remaining rows of a request of 256, and two large requests get equal
shares. There are no clocks and no weights to tune.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count


class VirtualTime:
    """Start tag of the entry that was served last, in units of entry size."""

    def __init__(self) -> None:
        self.now = 0.0

    def advance(self, start_tag: float) -> None:
        self.now = max(self.now, start_tag)


class Flow:
    """The entries of one request in a queue."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._end = time.now

    def next_start_tag(self, size: float = 1) -> float:
        """Start tag of the request's next entry."""
        start_tag = max(self._end, self._time.now)
        self._end = start_tag + size
        return start_tag


class FairSemaphore:
    """A bounded number of places. The lowest start tag is admitted first, equal ones in order of arrival."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @asynccontextmanager
    async def place(self, start_tag: float) -> AsyncIterator[None]:
        """Hold a place for the duration of the `async with` block."""
        await self._enter(start_tag)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, start_tag: float) -> None:
        if self._free:
            self._free -= 1
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (start_tag, next(self._numbers), admitted))
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self._leave()  # admitted and cancelled in the same iteration of the event loop
            raise

    def _leave(self) -> None:
        while self._waiting:
            _, _, admitted = heapq.heappop(self._waiting)
            if not admitted.done():
                admitted.set_result(None)
                return
        self._free += 1


class RoundRobinSemaphore:
    """A bounded number of places whose owners take turns: a released place goes to another owner, if one waits."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[object, asyncio.Future[None]]] = []

    @property
    def free(self) -> int:
        """Number of places that no owner holds."""
        return self._free

    async def acquire(self, owner: object) -> None:
        if self._free:
            self._free -= 1
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((owner, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release(owner)
            raise

    def release(self, owner: object) -> None:
        self._waiting = [(waiting, granted) for waiting, granted in self._waiting if not granted.done()]
        if not self._waiting:
            self._free += 1
            return
        others = (number for number, (waiting, _) in enumerate(self._waiting) if waiting is not owner)
        _, granted = self._waiting.pop(next(others, 0))
        granted.set_result(None)
