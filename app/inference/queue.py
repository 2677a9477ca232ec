"""What waits for a batch: entries in the order of fairness, equal ones joined, unwanted ones dropped."""

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic

from app.inference.batch import Batch, Entry, Payload, Result, Staged
from app.inference.fair_queueing import Flow, VirtualTime


class EntryQueue(Generic[Payload, Staged, Result]):
    """A batcher's queue; on the event loop only."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()  # set while there is anything
        self.shared = self.dropped = 0
        self._entries: deque[Entry[Payload, Result]] = deque()
        self._joinable: dict[Hashable, Entry[Payload, Result]] = {}  # not yet on the device
        self._time = VirtualTime()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def unanswered(self) -> list[Entry[Payload, Result]]:
        """The entries that have not come to the device, those of batches that are being put together among them."""
        return list(self._joinable.values())

    def flow(self) -> Flow:
        """A new request's place, which shares the device fairly with the others."""
        return Flow(self._time)

    def add(self, payload: Payload, key: Hashable, size: int, start_tag: float) -> Entry[Payload, Result]:
        """The entry of a payload: a new one, or the one of this key that has not come to the device yet."""
        entry = self._joinable.get(key)
        if entry is None:
            entry = self._joinable[key] = Entry(payload, key, size, start_tag)
            self._entries.append(entry)
            self.arrived.set()
        else:
            self.shared += 1
            entry.start_tag = min(entry.start_tag, start_tag)
        return entry

    def take(self, batch: Batch[Payload, Staged, Result], *, budget: int, most: float) -> list[Entry[Payload, Result]]:
        """Take out what the batch has room for: what starts first, then those nearest to it in size.

        Args:
            budget: the largest cost of the batch, unless a single entry is larger.
            most: how many entries it may have.
        """
        wanted: list[Entry[Payload, Result]] = []
        for entry in self._entries:
            if entry.wanted:
                wanted.append(entry)
            else:
                self.drop(entry)
        wanted.sort(key=lambda entry: entry.start_tag)
        lead = next(iter(batch.entries or wanted), None)
        if lead is not None:
            self._time.advance(lead.start_tag)
        by_nearness = sorted(wanted, key=lambda entry: abs(entry.size - lead.size)) if lead else []
        taken: list[Entry[Payload, Result]] = []
        largest = max((entry.size for entry in batch.entries), default=0)
        for entry in by_nearness:
            count = len(batch.entries) + len(taken)
            largest = max(largest, entry.size)
            if count and ((count + 1) * largest > budget or count >= most):
                break
            taken.append(entry)
        chosen = set(taken)
        self._entries = deque(entry for entry in wanted if entry not in chosen)
        if not self._entries:
            self.arrived.clear()
        return taken

    def drop(self, entry: Entry[Payload, Result]) -> None:
        """Nobody waits for this entry any longer."""
        self.close(entry)
        self.dropped += 1

    def close(self, entry: Entry[Payload, Result]) -> None:
        """Whoever brings the same key from here on starts a new entry."""
        if self._joinable.get(entry.key) is entry:
            del self._joinable[entry.key]
