"""Micro-batching: entries of many requests share device calls. asyncio only; knows no tensors and no HTTP.

A batcher takes what is queued the moment the device is free. While the device works for somebody, the next batch
is put together and staged, and it goes on growing until its turn comes, so nothing waits for a timer.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Generic

from app.entries import Batch, Entry, Payload, Result, Staged
from app.errors import EncodingFailed
from app.fairness import Flow, VirtualTime
from app.threads import DeviceThreads, in_thread
from app.timeline import Timeline

logger = logging.getLogger("medimageinsight")

GROW_AFTER = 32  # good batches after which a size that was halved for want of memory is doubled again
NOT_COMPUTED = "the entry was not computed: the service is stopping, or its batch broke."


class MicroBatcher(Generic[Payload, Staged, Result]):
    """Turns payloads into results by device calls over batches of them.

    Entries have a size (1 for an image, its tokens for a text). A batch of n entries costs n times its largest size,
    which is what padding makes of it, and stays within `budget` unless a single entry is larger. When the device runs
    out of memory the budget is halved, and grows back while batches succeed.
    """

    def __init__(
        self,
        device: DeviceThreads,
        *,
        stage: Callable[[Sequence[Payload]], Staged],
        run: Callable[[Sequence[Staged]], Iterable[Result]],
        budget: int,
        stage_aside: bool = True,
        wait_s: float = 0.0,
        on_batch: Callable[[int, float], None] = lambda *_: None,
    ) -> None:
        """Make a batcher; `start` sets it going.

        Args:
            device: shared with the other batchers.
            stage: makes new entries of a batch ready for the device.
            run: takes a batch's staged parts, in order, and gives one result an entry; in the device's thread.
            budget: the largest cost of a batch.
            stage_aside: staging takes time: it is done in a thread of its own, as entries come. False if there is
                next to nothing to do: then a batch is put together on the event loop, at once when the device is free.
            wait_s: how long a free device waits for more entries.
            on_batch: told the number of entries and the used share of the budget of each batch.
        """
        self._device, self._stage, self._run, self._wait_s = device, stage, run, wait_s
        self._stage_aside = stage_aside
        self._on_batch = on_batch
        self._budget = self._affordable = budget
        self._good_batches = 0
        self._queue: deque[Entry[Payload, Result]] = deque()
        self._joinable: dict[Hashable, Entry[Payload, Result]] = {}  # not yet on the device
        self._arrived = asyncio.Event()
        self._staging = ThreadPoolExecutor(1, thread_name_prefix="stage")
        self._loop: asyncio.Task[None] | None = None
        self._computing: set[asyncio.Task[None]] = set()
        self._time = VirtualTime()
        self._stopped = False
        self.batches = self.entries = self.shared = self.dropped = self.retried = 0

    def start(self) -> None:
        self._loop = asyncio.create_task(self._batch_loop())

    async def stop(self) -> None:
        """End the loop; whoever still waits, or comes later, is told so."""
        self._stopped = True
        for task in (self._loop, *self._computing):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._staging.shutdown(wait=False)
        for entry in self._joinable.values():
            entry.fail(EncodingFailed(NOT_COMPUTED))

    def flow(self) -> Flow:
        """A new request's place in the queue, which shares it fairly with the others."""
        return Flow(self._time)

    async def submit(
        self, payload: Payload, *, key: Hashable, start: float = 0.0, size: int = 1, timeline: Timeline | None = None
    ) -> Result:
        """Queue a payload and wait for its result. Equal keys that meet before the device are computed once.

        Args:
            start: from the request's `flow`; the lowest is served first.
            timeline: of the request; told when the device began and ended.

        Raises:
            EncodingFailed: the device failed on this payload, also alone; or the batcher was stopped.
        """
        if self._stopped:
            raise EncodingFailed(NOT_COMPUTED)
        entry = self._joinable.get(key)
        if entry is None:
            entry = self._joinable[key] = Entry(payload, key, size, start)
            self._queue.append(entry)
            self._arrived.set()
        else:
            self.shared += 1
            entry.start = min(entry.start, start)
        waiter: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        entry.waiters.append(waiter)
        result = await waiter
        if timeline is not None:
            timeline.reached("queue", entry.device_began)
            timeline.reached("device", entry.device_ended)
        return result

    async def _batch_loop(self) -> None:
        while True:
            await self._arrived.wait()
            if self._wait_s:
                await asyncio.sleep(self._wait_s)
            batch = Batch[Payload, Staged, Result]()
            try:
                await self._put_together(batch)
            except Exception as error:  # noqa: BLE001, the loop must survive anything: those behind it would wait for ever
                logger.error("a batch of %d entries broke (%s)", len(batch.entries), type(error).__name__)
                self._end(batch)
            else:  # the next batch is put together meanwhile
                task = asyncio.create_task(self._compute(batch))
                self._computing.add(task)
                task.add_done_callback(partial(self._computed, batch))

    async def _put_together(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Fill a batch until the device is ours. When this returns, and only then, it is."""
        turn = asyncio.create_task(self._device.turn.acquire(self))
        try:
            if self._stage_aside:
                await self._fill_until(turn, batch)
            await turn
            await self._top_up(batch)
            await self._drop_unwanted(batch)
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._device.turn.release(self)
            turn.cancel()
            raise
        for entry in batch.entries:
            self._close(entry)

    def _computed(self, batch: Batch[Payload, Staged, Result], task: asyncio.Task[None]) -> None:
        self._computing.discard(task)
        self._device.turn.release(self)
        self._end(batch)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a batch of %d entries broke (%s)", len(batch.entries), type(error).__name__)

    def _end(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Tell those whom the batch left without an answer: it broke, or the service is being stopped."""
        for entry in batch.entries:
            self._close(entry)
            entry.fail(EncodingFailed(NOT_COMPUTED))

    async def _fill_until(self, turn: asyncio.Task[Any], batch: Batch[Payload, Staged, Result]) -> None:
        """Stage what is queued and what arrives, until the device is ours or the batch is full."""
        while not turn.done():
            full = not await self._top_up(batch) and self._queue
            if full or turn.done():
                return
            arrival = asyncio.create_task(self._arrived.wait())
            try:
                await asyncio.wait({turn, arrival}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                arrival.cancel()

    async def _top_up(self, batch: Batch[Payload, Staged, Result]) -> bool:
        """Move what fits from the queue into the batch and stage it; False when there was nothing."""
        taken = self._take(batch)
        if not self._queue:
            self._arrived.clear()
        if taken:
            batch.entries.extend(taken)
            await self._stage_part(batch, taken)
        return bool(taken)

    async def _stage_part(
        self, batch: Batch[Payload, Staged, Result], entries: Sequence[Entry[Payload, Result]]
    ) -> None:
        """Stage entries for the batch; one that cannot be must not fail its neighbours, so that is dealt with later."""
        try:
            batch.parts.append(await self._staged(entries))
        except Exception as error:  # noqa: BLE001, see above
            batch.staging_error = error

    def _take(self, batch: Batch[Payload, Staged, Result]) -> list[Entry[Payload, Result]]:
        """What starts first, then those nearest to it in size, as long as they fit; the unwanted are dropped."""
        wanted: list[Entry[Payload, Result]] = []
        for entry in self._queue:
            if entry.wanted:
                wanted.append(entry)
            else:
                self._close(entry)
                self.dropped += 1
        wanted.sort(key=lambda entry: entry.start)
        lead = next(iter(batch.entries or wanted), None)
        if lead is not None:
            self._time.advance(lead.start)
        by_nearness = sorted(wanted, key=lambda entry: abs(entry.size - lead.size)) if lead else []
        taken: list[Entry[Payload, Result]] = []
        largest = max((entry.size for entry in batch.entries), default=0)
        for entry in by_nearness:
            count = len(batch.entries) + len(taken)
            largest = max(largest, entry.size)
            if count and (count + 1) * largest > self._affordable:
                break
            taken.append(entry)
        chosen = set(taken)
        self._queue = deque(entry for entry in wanted if entry not in chosen)
        return taken

    async def _drop_unwanted(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Take out what was given up since it was staged; the rest is staged anew if there was any."""
        wanted = [entry for entry in batch.entries if entry.wanted]
        if len(wanted) == len(batch.entries):
            return
        self.dropped += len(batch.entries) - len(wanted)
        for entry in set(batch.entries).difference(wanted):
            self._close(entry)
        batch.entries, batch.parts, batch.staging_error = wanted, [], None
        if wanted:
            await self._stage_part(batch, wanted)

    async def _compute(self, batch: Batch[Payload, Staged, Result]) -> None:
        if not batch.entries:
            return
        self.batches += 1
        self.entries += len(batch.entries)
        self._on_batch(len(batch.entries), min(1.0, batch.cost / self._budget))
        began = time.perf_counter()
        try:
            results = await self._on_device(batch.staged(), len(batch.entries))
        except Exception as error:  # noqa: BLE001, whatever the device raises; one bad entry must not fail its neighbours
            logger.warning(
                "a batch of %d entries failed (%s), trying one by one", len(batch.entries), type(error).__name__
            )
            self.retried += 1
            if isinstance(error, MemoryError):
                self._affordable, self._good_batches = max(1, batch.cost // 2), 0
            for entry in batch.entries:
                await self._compute_alone(entry)
            return
        self._grow_back()
        for entry, result in zip(batch.entries, results, strict=True):
            entry.answer(result, began, time.perf_counter())

    def _grow_back(self) -> None:
        self._good_batches += 1
        if self._good_batches >= GROW_AFTER:
            self._affordable, self._good_batches = min(self._budget, 2 * self._affordable), 0

    async def _compute_alone(self, entry: Entry[Payload, Result]) -> None:
        if not entry.wanted:
            return
        began = time.perf_counter()
        try:
            (result,) = await self._on_device([await self._staged([entry])], 1)
        except Exception as error:  # noqa: BLE001, as above, now for this entry alone
            logger.error("an entry failed on the device (%s)", type(error).__name__)
            entry.fail(EncodingFailed(f"the device failed on it ({type(error).__name__})."))
        else:
            entry.answer(result, began, time.perf_counter())

    def _close(self, entry: Entry[Payload, Result]) -> None:
        """Whoever brings the same key from here on starts a new entry."""
        if self._joinable.get(entry.key) is entry:
            del self._joinable[entry.key]

    async def _staged(self, entries: Sequence[Entry[Payload, Result]]) -> Staged:
        payloads = [entry.payload for entry in entries]
        if not self._stage_aside:
            return self._stage(payloads)
        return await in_thread(self._staging, lambda: self._stage(payloads))

    async def _on_device(self, parts: Sequence[Staged], count: int) -> list[Result]:
        results = await self._device.call(lambda: list(self._run(parts)))
        if len(results) != count:  # whose is missing cannot be known
            raise RuntimeError(f"{len(results)} results for {count} entries")
        return results
