"""Micro-batching: entries of many requests share device calls. asyncio only; knows no tensors and no HTTP.

A batcher takes what is queued the moment the device is free. While the device works for somebody, the next batch
is put together and staged, and it goes on growing until its turn comes, so a lone entry waits for no timer. Slow
batches that run side by side share equally what is there.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Generic

from app.errors import EncodingFailed
from app.inference.batch import Batch, Entry, Payload, Result, Staged
from app.inference.device_executor import DeviceExecutor, in_thread
from app.inference.fair_queueing import Flow
from app.inference.queue import EntryQueue
from app.telemetry.stage_timings import StageTimings

logger = logging.getLogger("medimageinsight")

GROW_AFTER = 32  # good batches after which a size that was halved for want of memory is doubled again
# From here on a batch's time is the device's. Of a quicker one much is Python's, which threads side by side only share:
# measured with 8 clients and short texts, equal shares give a large encoder 1.1 x the texts a second, a small one 0.7.
SLOW_BATCH_S = 0.05
NOT_COMPUTED = "the entry was not computed: the service is stopping, or its batch broke."


class MicroBatcher(Generic[Payload, Staged, Result]):
    """Turns payloads into results by device calls over batches of them.

    Entries have a size (1 for an image, its tokens for a text). A batch of n entries costs n times its largest size,
    which is what padding makes of it, and stays within `budget` unless a single entry is larger. When the device runs
    out of memory the budget is halved, and grows back while batches succeed.
    """

    def __init__(
        self,
        device: DeviceExecutor,
        *,
        stage: Callable[[Sequence[Payload]], Staged],
        run: Callable[[Sequence[Staged]], Iterable[Result]],
        budget: int,
        stage_in_thread: bool = True,
        wait_s: float = 0.0,
        coalesce_fraction: float = 0.0,
        on_batch: Callable[[int, float], None] = lambda *_: None,
    ) -> None:
        """Make a batcher; `start` sets it going.

        Args:
            device: shared with the other batchers.
            stage: makes new entries of a batch ready for the device.
            run: takes a batch's staged parts, in order, and gives one result an entry; in the device's thread.
            budget: the largest cost of a batch.
            stage_in_thread: staging takes time: it is done in a thread of its own, as entries come. False if there is
                next to nothing to do: then a batch is put together on the event loop, at once when the device is free.
            wait_s: how long a free device waits for more entries.
            coalesce_fraction: share of a slow batch's time for which the next batch waits once that one is done.
                Clients that were answered often send again at once, and a batch costs much whatever its size.
            on_batch: told the number of entries and the used share of the budget of each batch.
        """
        self._device, self._stage, self._run, self._wait_s, self._coalesce_fraction = (
            device,
            stage,
            run,
            wait_s,
            coalesce_fraction,
        )
        self._stage_in_thread = stage_in_thread
        self._on_batch = on_batch
        self._budget = self._affordable = budget
        self._good_batches = 0
        self._queue: EntryQueue[Payload, Staged, Result] = EntryQueue()
        self._staging = ThreadPoolExecutor(1, thread_name_prefix="stage")
        self._loop: asyncio.Task[None] | None = None
        self._computing: dict[asyncio.Task[None], Batch[Payload, Staged, Result]] = {}
        self._turns = 0  # that are ours
        self._is_slow, self._coalesce_until = False, 0.0
        self._stopped = False
        self.batches = self.entries = self.retried = 0

    @property
    def shared(self) -> int:
        """Entries that met their equal before the device."""
        return self._queue.shared

    @property
    def dropped(self) -> int:
        """Entries that nobody waited for any longer when their time came."""
        return self._queue.dropped

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
        for entry in self._queue.unanswered:
            entry.fail(EncodingFailed(NOT_COMPUTED))

    def flow(self) -> Flow:
        """A new request's place in the queue, which shares it fairly with the others."""
        return self._queue.flow()

    async def submit(
        self,
        payload: Payload,
        *,
        key: Hashable,
        start_tag: float = 0.0,
        size: int = 1,
        timings: StageTimings | None = None,
    ) -> Result:
        """Queue a payload and wait for its result. Equal keys that meet before the device are computed once.

        Args:
            start_tag: from the request's `flow`; the lowest is served first.
            timings: of the request; told when the device began and ended.

        Raises:
            EncodingFailed: the device failed on this payload, also alone; or the batcher was stopped.
        """
        if self._stopped:
            raise EncodingFailed(NOT_COMPUTED)
        entry = self._queue.add(payload, key, size, start_tag)
        waiter: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        entry.waiters.append(waiter)
        result = await waiter
        if timings is not None:
            timings.mark_end("queue", entry.device_began)
            timings.mark_end("device", entry.device_ended)
        return result

    async def _batch_loop(self) -> None:
        while True:
            await self._queue.arrived.wait()
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
                self._computing[task] = batch
                task.add_done_callback(partial(self._computed, batch))

    async def _put_together(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Fill a batch until the device is ours. When this returns, and only then, it is."""
        turn = asyncio.create_task(self._take_turn())
        try:
            if self._stage_in_thread:
                await self._fill_until(turn, batch)
            await turn
            await self._gather(batch)
            await self._drop_unwanted(batch)
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._give_turn_back()
            turn.cancel()
            raise
        for entry in batch.entries:
            self._queue.close(entry)

    async def _gather(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Fill the batch with what is there, and for a moment with those who come back from the last one."""
        await self._top_up(batch)
        left_s = self._coalesce_until - time.perf_counter()
        if left_s > 0 and not self._queue:
            await asyncio.sleep(left_s)
            await self._top_up(batch)

    async def _take_turn(self) -> None:
        await self._device.turn.acquire(self)
        self._turns += 1

    def _give_turn_back(self) -> None:
        self._turns -= 1
        self._device.turn.release(self)

    def _computed(self, batch: Batch[Payload, Staged, Result], task: asyncio.Task[None]) -> None:
        del self._computing[task]
        self._give_turn_back()
        self._end(batch)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a batch of %d entries broke (%s)", len(batch.entries), type(error).__name__)

    def _end(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Tell those whom the batch left without an answer: it broke, or the service is being stopped."""
        for entry in batch.entries:
            self._queue.close(entry)
            entry.fail(EncodingFailed(NOT_COMPUTED))

    async def _fill_until(self, turn: asyncio.Task[Any], batch: Batch[Payload, Staged, Result]) -> None:
        """Stage what is queued and what arrives, until the device is ours or the batch is full."""
        while not turn.done():
            full = not await self._top_up(batch) and self._queue
            if full or turn.done():
                return
            arrival = asyncio.create_task(self._queue.arrived.wait())
            try:
                await asyncio.wait({turn, arrival}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                arrival.cancel()

    async def _top_up(self, batch: Batch[Payload, Staged, Result]) -> bool:
        """Move what fits from the queue into the batch and stage it; False when there was nothing."""
        taken = self._queue.take(batch, budget=self._affordable, most=self._share(batch))
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

    def _share(self, batch: Batch[Payload, Staged, Result]) -> float:
        """How many entries the batch may have, so that those that run, or can run, beside it get as many."""
        if not self._is_slow:
            return math.inf
        there = len(self._queue) + len(batch.entries) + sum(len(other.entries) for other in self._computing.values())
        return math.ceil(there / max(1, self._turns + self._device.turn.free))

    async def _drop_unwanted(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Take out what was given up since it was staged; the rest is staged anew if there was any."""
        wanted = [entry for entry in batch.entries if entry.wanted]
        if len(wanted) == len(batch.entries):
            return
        for entry in set(batch.entries).difference(wanted):
            self._queue.drop(entry)
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
        ended = time.perf_counter()
        self._is_slow = ended - began > SLOW_BATCH_S
        if self._is_slow and len(batch.entries) > 1:
            self._coalesce_until = ended + self._coalesce_fraction * (ended - began)
        self._grow_back()
        for entry, result in zip(batch.entries, results, strict=True):
            entry.answer(result, began, ended)

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

    async def _staged(self, entries: Sequence[Entry[Payload, Result]]) -> Staged:
        payloads = [entry.payload for entry in entries]
        if not self._stage_in_thread:
            return self._stage(payloads)
        return await in_thread(self._staging, lambda: self._stage(payloads))

    async def _on_device(self, parts: Sequence[Staged], count: int) -> list[Result]:
        results = await self._device.call(lambda: list(self._run(parts)))
        if len(results) != count:  # whose is missing cannot be known
            raise RuntimeError(f"{len(results)} results for {count} entries")
        return results
