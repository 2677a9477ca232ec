"""Micro-batching: entries of many requests share device calls. This module uses asyncio, and no tensors or HTTP.

A batcher takes what is queued as soon as the device is free. While the device computes, the next batch is assembled and
staged, and grows until its turn comes, so that a single entry waits for no timer. Slow batches that run in parallel get
equal shares of what is queued.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Generic

from app.errors import EncodingFailed
from app.fair_queueing import Flow
from app.inference.batch import Batch, Payload, Result, Staged
from app.inference.batch_runner import BatchRunner
from app.inference.device_executor import DeviceExecutor
from app.inference.queue import EntryQueue
from app.telemetry.stage_timings import StageTimings

logger = logging.getLogger("medimageinsight")

NOT_COMPUTED = "the entry was not computed, because the service is stopping or its batch failed."


class MicroBatcher(Generic[Payload, Staged, Result]):
    """Turns payloads into results by device calls on batches of them.

    Entries have a size: 1 for an image, the number of tokens for a text. A batch of n entries costs n times its largest
    size, because of padding, and stays within `budget` unless one entry on its own is larger. When the device runs out
    of memory the budget is halved; it grows again while batches succeed.
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
        """Create a batcher; `start` begins to serve.

        Args:
            device: shared with the other batchers.
            stage: prepares entries for the device.
            run: computes a batch from its staged parts, one result per entry, in order; called in a device thread.
            budget: largest cost of a batch.
            stage_in_thread: True stages entries in a background thread as they arrive. Use False if staging is trivial:
                the batch is then assembled on the event loop once the device is free.
            wait_s: seconds that a free device waits for more entries.
            coalesce_fraction: share of a slow batch's time for which the next batch waits once that one is done.
                Clients that were answered often send again at once, and a batch costs much whatever its size.
            on_batch: called with the number of entries and the used share of the budget of each batch.
        """
        self._device, self._wait_s, self._stage_in_thread = device, wait_s, stage_in_thread
        self._runner: BatchRunner[Payload, Staged, Result] = BatchRunner(
            device,
            stage=stage,
            run=run,
            budget=budget,
            stage_in_thread=stage_in_thread,
            coalesce_fraction=coalesce_fraction,
            on_batch=on_batch,
        )
        self._queue: EntryQueue[Payload, Staged, Result] = EntryQueue()
        self._loop: asyncio.Task[None] | None = None
        self._computing: dict[asyncio.Task[None], Batch[Payload, Staged, Result]] = {}
        self._own_turns = 0
        self._stopped = False

    @property
    def batches(self) -> int:
        """Device calls."""
        return self._runner.batches

    @property
    def entries(self) -> int:
        """Entries of all device calls."""
        return self._runner.entries

    @property
    def retried(self) -> int:
        """Batches that failed and were computed again entry by entry."""
        return self._runner.retried

    @property
    def shared(self) -> int:
        """Payloads that were deduplicated before the device."""
        return self._queue.shared

    @property
    def dropped(self) -> int:
        """Entries that no caller waited for any more when their turn came."""
        return self._queue.dropped

    def start(self) -> None:
        self._loop = asyncio.create_task(self._batch_loop())

    async def stop(self) -> None:
        """End the loop. Callers that wait, or come later, get EncodingFailed."""
        self._stopped = True
        for task in (self._loop, *self._computing):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._runner.stop()
        for entry in self._queue.unanswered:
            entry.fail(EncodingFailed(NOT_COMPUTED))

    def flow(self) -> Flow:
        """The flow of a new request, which shares the queue fairly with the other flows."""
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
        """Queue a payload and wait for its result.

        Args:
            payload: input of the device.
            key: payloads with equal keys are computed once, if they meet before the device.
            start_tag: from the request's `flow`; the lowest is served first.
            size: 1 for an image, the number of tokens for a text.
            timings: of the request; they record when the device began and ended, and count the item.

        Raises:
            EncodingFailed: the device failed on this payload on its own, or the batcher was stopped.
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
            timings.computed_items += 1
        return result

    async def _batch_loop(self) -> None:
        while True:
            await self._queue.arrived.wait()
            if self._wait_s:
                await asyncio.sleep(self._wait_s)
            batch = Batch[Payload, Staged, Result]()
            try:
                await self._assemble(batch)
            except Exception as error:  # noqa: BLE001, the loop must survive: later entries would wait for ever
                self._log_failure(batch, error)
                self._fail_unanswered(batch)
            else:
                task = asyncio.create_task(self._runner.compute(batch))
                self._computing[task] = batch
                task.add_done_callback(partial(self._computed, batch))

    async def _assemble(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Fill a batch until it has a turn on the device. The turn is held if and only if this returns."""
        turn = asyncio.create_task(self._take_turn())
        try:
            if self._stage_in_thread:
                await self._fill_until(turn, batch)
            await turn
            await self._top_up(batch)
            await self._coalesce(batch)
            await self._drop_unwanted(batch)
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._release_turn()
            turn.cancel()
            raise
        for entry in batch.entries:
            self._queue.close(entry)

    async def _fill_until(self, turn: asyncio.Task[Any], batch: Batch[Payload, Staged, Result]) -> None:
        """Stage what is queued and what arrives, until the turn comes or the batch is full."""
        while not turn.done():
            is_full = not await self._top_up(batch) and self._queue
            if is_full or turn.done():
                return
            arrival = asyncio.create_task(self._queue.arrived.wait())
            try:
                await asyncio.wait({turn, arrival}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                arrival.cancel()

    async def _top_up(self, batch: Batch[Payload, Staged, Result]) -> bool:
        """Move the entries that fit from the queue to the batch and stage them; False if there was none."""
        taken = self._queue.take(batch, budget=self._runner.affordable, max_entries=self._max_entries(batch))
        if taken:
            batch.entries.extend(taken)
            await self._runner.stage_part(batch, taken)
        return bool(taken)

    async def _coalesce(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Wait a moment for clients that the last batch answered, if the queue is empty."""
        left_s = self._runner.coalesce_until - time.perf_counter()
        if left_s > 0 and not self._queue:
            await asyncio.sleep(left_s)
            await self._top_up(batch)

    def _max_entries(self, batch: Batch[Payload, Staged, Result]) -> float:
        """Largest size of the batch that leaves an equal share for each batch that runs, or can run, beside it."""
        if not self._runner.is_slow:
            return math.inf
        computing = sum(len(other.entries) for other in self._computing.values())
        return math.ceil(
            (len(self._queue) + len(batch.entries) + computing) / max(1, self._own_turns + self._device.turn.free)
        )

    async def _drop_unwanted(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Remove entries that no caller waits for any more, and stage the others again if there was one."""
        wanted = [entry for entry in batch.entries if entry.wanted]
        if len(wanted) == len(batch.entries):
            return
        for entry in set(batch.entries).difference(wanted):
            self._queue.drop(entry)
        batch.entries, batch.parts, batch.staging_error = wanted, [], None
        if wanted:
            await self._runner.stage_part(batch, wanted)

    async def _take_turn(self) -> None:
        await self._device.turn.acquire(self)
        self._own_turns += 1

    def _release_turn(self) -> None:
        self._own_turns -= 1
        self._device.turn.release(self)

    def _computed(self, batch: Batch[Payload, Staged, Result], task: asyncio.Task[None]) -> None:
        del self._computing[task]
        self._release_turn()
        self._fail_unanswered(batch)
        if not task.cancelled() and (error := task.exception()):
            self._log_failure(batch, error)

    def _log_failure(self, batch: Batch[Payload, Staged, Result], error: BaseException) -> None:
        logger.error("a batch of %d entries failed unexpectedly (%s)", len(batch.entries), type(error).__name__)

    def _fail_unanswered(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Fail the entries that a failed or cancelled batch left without an answer."""
        for entry in batch.entries:
            self._queue.close(entry)
            entry.fail(EncodingFailed(NOT_COMPUTED))
