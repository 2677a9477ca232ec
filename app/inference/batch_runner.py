"""Computation of one batch on the device, with retries entry by entry and a budget that follows the device's memory."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic

from app.errors import EncodingFailed
from app.inference.batch import Batch, Entry, Payload, Result, Staged
from app.inference.device_executor import DeviceExecutor
from app.threads import in_thread

logger = logging.getLogger("medimageinsight")

GROW_AFTER = 32  # successful batches after which a budget that was halved for lack of memory is doubled
# The time of a slower batch is the device's. Much of a quicker batch is Python code, and parallel threads only share
# the time for that. Measured with 8 clients and short texts, equal shares among parallel batches give a large encoder
# 1.1 times the texts per second, and a small one 0.7 times.
SLOW_BATCH_S = 0.05


class BatchRunner(Generic[Payload, Staged, Result]):
    """Stages and computes batches; see `app.inference.batching.MicroBatcher` for the arguments."""

    def __init__(
        self,
        device: DeviceExecutor,
        *,
        stage: Callable[[Sequence[Payload]], Staged],
        run: Callable[[Sequence[Staged]], Iterable[Result]],
        budget: int,
        stage_in_thread: bool,
        coalesce_fraction: float,
        on_batch: Callable[[int, float], None],
    ) -> None:
        self._device, self._stage, self._run, self._on_batch = device, stage, run, on_batch
        self._coalesce_fraction = coalesce_fraction
        self._staging = ThreadPoolExecutor(1, thread_name_prefix="stage") if stage_in_thread else None
        self._budget = self.affordable = budget
        self._successes = 0
        self.is_slow = False
        """Whether the last batch took longer than `SLOW_BATCH_S`."""
        self.coalesce_until = 0.0
        """Time of `time.perf_counter` until which the next batch waits for clients that were just answered."""
        self.batches = self.entries = self.retried = 0

    def stop(self) -> None:
        if self._staging is not None:
            self._staging.shutdown(wait=False)

    async def stage_part(
        self, batch: Batch[Payload, Staged, Result], entries: Sequence[Entry[Payload, Result]]
    ) -> None:
        """Stage entries for the batch.

        An error is kept for `compute`, which then tries each entry on its own, so that one entry fails no other.
        """
        try:
            batch.parts.append(await self._staged(entries))
        except Exception as error:  # noqa: BLE001, any error of an entry is kept
            batch.staging_error = error

    async def compute(self, batch: Batch[Payload, Staged, Result]) -> None:
        """Compute a batch and answer its entries; the caller must hold a turn on the device."""
        if not batch.entries:
            return
        count = len(batch.entries)
        self.batches += 1
        self.entries += count
        self._on_batch(count, min(1.0, batch.cost / self._budget))
        began = time.perf_counter()
        try:
            results = await self._on_device(batch.staged(), count)
        except Exception as error:  # noqa: BLE001, whatever the device raises; one bad entry must not fail the others
            await self._retry(batch, error)
            return
        ended = time.perf_counter()
        self.is_slow = ended - began > SLOW_BATCH_S
        if self.is_slow and count > 1:
            self.coalesce_until = ended + self._coalesce_fraction * (ended - began)
        self._grow_budget()
        for entry, result in zip(batch.entries, results, strict=True):
            entry.answer(result, began, ended)

    async def _retry(self, batch: Batch[Payload, Staged, Result], error: Exception) -> None:
        logger.warning(
            "a batch of %d entries failed (%s); they are computed one by one", len(batch.entries), type(error).__name__
        )
        self.retried += 1
        if isinstance(error, MemoryError):
            self.affordable, self._successes = max(1, batch.cost // 2), 0
        for entry in batch.entries:
            await self._compute_alone(entry)

    async def _compute_alone(self, entry: Entry[Payload, Result]) -> None:
        if not entry.wanted:
            return
        began = time.perf_counter()
        try:
            (result,) = await self._on_device([await self._staged([entry])], 1)
        except Exception as error:  # noqa: BLE001, whatever the device raises
            logger.error("an entry failed on the device (%s)", type(error).__name__)
            entry.fail(EncodingFailed(f"the device failed on it ({type(error).__name__})."))
        else:
            entry.answer(result, began, time.perf_counter())

    def _grow_budget(self) -> None:
        self._successes += 1
        if self._successes >= GROW_AFTER:
            self.affordable, self._successes = min(self._budget, 2 * self.affordable), 0

    async def _staged(self, entries: Sequence[Entry[Payload, Result]]) -> Staged:
        payloads = [entry.payload for entry in entries]
        if self._staging is None:
            return self._stage(payloads)
        return await in_thread(self._staging, lambda: self._stage(payloads))

    async def _on_device(self, parts: Sequence[Staged], count: int) -> list[Result]:
        results = await self._device.call(lambda: list(self._run(parts)))
        if len(results) != count:  # no entry can be matched with its result any more
            raise RuntimeError(f"{len(results)} results for {count} entries")
        return results
