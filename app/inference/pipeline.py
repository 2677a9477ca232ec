"""From the items of a request to their vectors: preprocessing, batching, the device, and the original order."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, Protocol

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from app.decoding.pool import DecoderPool
from app.errors import EncodingFailed
from app.fair_queueing import FairSemaphore, Flow
from app.inference.batching import MicroBatcher
from app.inference.device_executor import DeviceExecutor
from app.inference.items import EmbedOptions, Item
from app.inference.preprocessor import Pixels, PreprocessingLimits, Preprocessor, TokenIds, row_of
from app.telemetry.stage_timings import StageTimings
from model.normalization import unit_norm

Embeddings = NDArray[np.float32]
"""One vector (D,), or several (n, D)."""
OnBatch = Callable[[str, int, float], None]

# A large text encoder spends most of the time of a few short texts on reading its weights, once per batch.
TEXT_COALESCE_FRACTION = 0.02


class Engine(Protocol):
    """The part of `model.engine.EmbeddingEngine` that the pipeline needs."""

    def tokenize(self, text: str) -> TokenIds: ...
    def stage_images(self, pixels: Sequence[Pixels]) -> Any: ...
    def embed_images(self, staged: Sequence[Any], *, normalize: bool, share: int) -> Embeddings: ...
    def embed_texts(self, token_ids: Sequence[TokenIds], *, normalize: bool, share: int) -> Embeddings: ...


@dataclass(frozen=True)
class PipelineLimits:
    """Bounds on what the pipeline holds and runs at once.

    Args:
        max_batch_size: images per batch.
        text_batch_tokens: tokens per batch, padding included.
        preprocessing: bounds and sizes of the preprocessing.
        text_cache_size: text embeddings in memory; 0 turns the cache off.
        batch_wait_s: seconds that a free device waits for more entries.
        concurrent_batches: batches that run in parallel.
    """

    max_batch_size: int
    text_batch_tokens: int
    preprocessing: PreprocessingLimits
    text_cache_size: int
    batch_wait_s: float = 0.0
    concurrent_batches: int = 1


class Pipeline:
    """Runs requests on one engine. It must be created and stopped on the event loop.

    Vectors leave the device unnormalised and are normalised per request. Requests with and without normalisation so
    share batches and the text cache.
    """

    def __init__(
        self,
        engine: Engine,
        decoders: DecoderPool,
        limits: PipelineLimits,
        on_batch: OnBatch = lambda *_: None,
    ) -> None:
        """Create a pipeline; `start` begins to serve.

        Args:
            engine: the model on its device.
            decoders: decode the images; they are not stopped with the pipeline.
            limits: the bounds.
            on_batch: called with the kind, the number of entries and the used share of the budget of each batch.
        """
        self.engine, self.decoders, self.limits = engine, decoders, limits
        self.text_cache: LRUCache[TokenIds, Embeddings] = LRUCache(max(1, limits.text_cache_size))
        self.text_cache_hits = self.text_cache_misses = 0
        self.device = DeviceExecutor(limits.concurrent_batches)
        self.given_up: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        self.images, self.texts = self._image_batcher(on_batch), self._text_batcher(on_batch)
        self.preprocessor = Preprocessor(engine.tokenize, decoders, limits.preprocessing)
        # Decoded images take most of the memory: only those of the running batches and of the next one are held.
        self._decoded_images = FairSemaphore(decoders.size + (limits.concurrent_batches + 1) * limits.max_batch_size)

    def start(self) -> None:
        self.images.start()
        self.texts.start()

    def _image_batcher(self, on_batch: OnBatch) -> "MicroBatcher[Pixels, Any, Embeddings]":
        def run(parts: Sequence[Any]) -> Embeddings:
            return self.engine.embed_images(parts, normalize=False, share=self.device.parallel_calls)

        return MicroBatcher(
            self.device,
            stage=self.engine.stage_images,
            run=run,
            budget=self.limits.max_batch_size,
            wait_s=self.limits.batch_wait_s,
            on_batch=partial(on_batch, "image"),
        )

    def _text_batcher(self, on_batch: OnBatch) -> "MicroBatcher[TokenIds, Sequence[TokenIds], Embeddings]":
        def run(parts: Sequence[Sequence[TokenIds]]) -> Embeddings:
            token_ids = [ids for part in parts for ids in part]
            return self.engine.embed_texts(token_ids, normalize=False, share=self.device.parallel_calls)

        return MicroBatcher(
            self.device,
            stage=lambda ids: ids,
            stage_in_thread=False,
            run=run,
            budget=self.limits.text_batch_tokens,
            wait_s=self.limits.batch_wait_s,
            coalesce_fraction=TEXT_COALESCE_FRACTION,
            on_batch=partial(on_batch, "text"),
        )

    def give_up(self, error: Exception) -> None:
        """Fail the future `given_up`, for which every request in flight waits; later requests wait for a new one."""
        failed, self.given_up = self.given_up, asyncio.get_running_loop().create_future()
        failed.set_exception(error)
        failed.exception()  # asyncio would log the exception if no request waits for it

    async def stop(self) -> None:
        """Stop the batchers; requests that still wait get an error."""
        await asyncio.gather(self.images.stop(), self.texts.stop())
        self.preprocessor.stop()
        self.device.executor.shutdown(wait=False, cancel_futures=True)

    async def embed(
        self, images: Sequence[Item], texts: Sequence[Item], options: EmbedOptions, timings: StageTimings | None = None
    ) -> tuple[Embeddings, Embeddings]:
        """Embed the images and the texts of a request.

        If this is cancelled, the queued entries of the request are dropped.

        Returns:
            Two arrays (images, D) and (texts, D), float32, in the order given.

        Raises:
            RowError, TextTooLong: the first bad row. Nothing of the request was computed before, unless the row is an
                image that turned out to be damaged behind its header.
            EncodingFailed: the device failed on an entry.
        """
        timings = timings or StageTimings()
        decoding = self.preprocessor.flow()
        bad_image = await self.preprocessor.check_headers(images, options, decoding, timings)
        token_ids, bad_text = await self.preprocessor.tokenize(texts, timings)
        timings.mark_end("decode")
        if bad_rows := [bad_row for bad_row in (bad_image, bad_text) if bad_row is not None]:
            first = min(bad_rows, key=row_of)
            raise await self.preprocessor.first_bad_row(first, images, options, decoding, timings)
        decoded = [asyncio.get_running_loop().create_future() for _ in images]
        image_flow, text_flow = self.images.flow(), self.texts.flow()
        tasks = [
            *(
                asyncio.create_task(self._embed_image(*image, options, decoding, image_flow.next_start_tag(), timings))
                for image in zip(images, decoded, strict=True)
            ),
            *(
                asyncio.create_task(self._embed_text(item, ids, text_flow.next_start_tag(len(ids)), timings))
                for item, ids in zip(texts, token_ids, strict=True)
            ),
        ]
        try:
            vectors = await _results(tasks, decoded)
        finally:
            for task in tasks:
                task.cancel()
        return _stacked(vectors[: len(images)], options), _stacked(vectors[len(images) :], options)

    async def _embed_image(
        self,
        item: Item,
        decoded: asyncio.Future[None],
        options: EmbedOptions,
        decoding: Flow,
        start_tag: float,
        timings: StageTimings,
    ) -> Embeddings:
        async with self._decoded_images.place(start_tag):
            try:
                pixels, key = await self.preprocessor.pixels(item, options, decoding, timings)
            finally:
                if not decoded.done():
                    decoded.set_result(None)
            timings.mark_end("preprocess")
            with _row_named(item, "image"):
                return await self.images.submit(pixels, key=key, start_tag=start_tag, timings=timings)

    async def _embed_text(self, item: Item, token_ids: TokenIds, start_tag: float, timings: StageTimings) -> Embeddings:
        cached = self.text_cache.get(token_ids)
        if cached is not None:
            self.text_cache_hits += 1
            return cached
        self.text_cache_misses += 1
        with _row_named(item, "text"):
            vector = await self.texts.submit(
                token_ids, key=token_ids, start_tag=start_tag, size=len(token_ids), timings=timings
            )
        if self.limits.text_cache_size:
            self.text_cache[token_ids] = vector.copy()  # a view would keep its whole batch in memory
        return vector


def _stacked(vectors: Sequence[Embeddings], options: EmbedOptions) -> Embeddings:
    if not vectors:
        return np.empty((0, 0), np.float32)
    stacked = np.stack(vectors)
    return unit_norm(stacked) if options.normalize else stacked


@contextmanager
def _row_named(item: Item, column: str) -> Iterator[None]:
    """Add the row to a failure of the device on an entry, which equal items of several rows may share."""
    try:
        yield
    except EncodingFailed as error:
        raise EncodingFailed(f"Row {item.row}, column {column}: {error}", row=item.row, column=column) from error


async def _results(
    tasks: Sequence[asyncio.Task[Embeddings]], decoded: Sequence[asyncio.Future[None]]
) -> list[Embeddings]:
    """All results, or the error of the first bad row: an earlier row may turn out to be bad after a later one."""
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    failed = next((number for number, task in enumerate(tasks) if _failure(task)), None)
    if failed is None:
        return [task.result() for task in tasks]
    for task in tasks[failed + 1 :]:
        task.cancel()
    if undecided := decoded[: min(failed, len(decoded))]:
        await asyncio.wait(undecided)
    raise next(error for task in tasks if (error := _failure(task)))


def _failure(task: asyncio.Task[Embeddings]) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None
