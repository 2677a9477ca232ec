"""Queue of entries: ordered by start tag, deduplicated by key, without entries that no caller wants."""

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic

from app.fair_queueing import Flow, VirtualTime
from app.inference.batch import Batch, Entry, Payload, Result, Staged


class EntryQueue(Generic[Payload, Staged, Result]):
    """The queue of one batcher. It must be used on the event loop."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()  # set while the queue holds an entry
        self.shared = self.dropped = 0
        self._entries: deque[Entry[Payload, Result]] = deque()
        self._joinable: dict[Hashable, Entry[Payload, Result]] = {}  # entries that have not reached the device
        self._time = VirtualTime()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def unanswered(self) -> list[Entry[Payload, Result]]:
        """The entries that have not reached the device, including those of batches that are being assembled."""
        return list(self._joinable.values())

    def flow(self) -> Flow:
        """The flow of a new request, which shares the device fairly with the other flows."""
        return Flow(self._time)

    def add(self, payload: Payload, key: Hashable, size: int, start_tag: float) -> Entry[Payload, Result]:
        """Return a new entry, or the entry with the same key that has not reached the device."""
        entry = self._joinable.get(key)
        if entry is None:
            entry = self._joinable[key] = Entry(payload, key, size, start_tag)
            self._entries.append(entry)
            self.arrived.set()
        else:
            self.shared += 1
            entry.start_tag = min(entry.start_tag, start_tag)
        return entry

    def take(
        self, batch: Batch[Payload, Staged, Result], *, budget: int, max_entries: float
    ) -> list[Entry[Payload, Result]]:
        """Remove and return the entries that the batch has room for.

        The entry with the lowest start tag comes first, followed by those that are nearest to it in size.

        Args:
            batch: the batch, with the entries that it holds already.
            budget: largest cost of the batch, unless one entry on its own is larger.
            max_entries: largest number of entries of the batch.
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
            if count and ((count + 1) * largest > budget or count >= max_entries):
                break
            taken.append(entry)
        chosen = set(taken)
        self._entries = deque(entry for entry in wanted if entry not in chosen)
        if not self._entries:
            self.arrived.clear()
        return taken

    def drop(self, entry: Entry[Payload, Result]) -> None:
        """Forget an entry that no caller waits for."""
        self.close(entry)
        self.dropped += 1

    def close(self, entry: Entry[Payload, Result]) -> None:
        """Deduplicate no more payloads with this entry: the next equal key makes a new entry."""
        if self._joinable.get(entry.key) is entry:
            del self._joinable[entry.key]
