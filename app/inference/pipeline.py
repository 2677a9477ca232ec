"""The way of a request's rows: prepared, batched onto the device, put back in order."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, Protocol

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from app.errors import EncodingFailed
from app.inference.batching import MicroBatcher
from app.inference.device_executor import DeviceExecutor
from app.inference.fair_queueing import FairSemaphore
from app.inference.preprocessor import EmbedOptions, Item, Pixels, PreprocessingEngine, Preprocessor, TokenIds, row_of
from app.telemetry.stage_timings import StageTimings

Embedding = NDArray[np.float32]
OnBatch = Callable[[str, int, float], None]

# A large text encoder spends most of the time of a few short texts on reading its weights, once a batch.
TEXT_COALESCE_FRACTION = 0.02


class Engine(PreprocessingEngine, Protocol):
    """What the pipeline needs of `model.engine.EmbeddingEngine`."""

    def stage_images(self, pixels: Sequence[Pixels]) -> Any: ...
    def embed_images(self, staged: Sequence[Any], *, normalize: bool, share: int) -> Embedding: ...
    def embed_texts(self, token_ids: Sequence[TokenIds], *, normalize: bool, share: int) -> Embedding: ...


@dataclass(frozen=True)
class PipelineLimits:
    """How much the pipeline holds at once; every number is at least 1, the cache's may be 0."""

    max_batch_size: int  # images
    text_batch_tokens: int
    decode_threads: int
    text_cache_size: int  # embeddings
    max_text_chars: int
    batch_wait_s: float = 0.0
    concurrent_batches: int = 1


class Pipeline:
    """Runs requests against one engine; made and stopped on the event loop."""

    def __init__(self, engine: Engine, limits: PipelineLimits, on_batch: OnBatch = lambda *_: None) -> None:
        """Make a pipeline; `on_batch` is told the kind, the number of entries and the fill of each device call."""
        self.engine, self.limits = engine, limits
        self.text_cache: LRUCache[TokenIds, Embedding] = LRUCache(max(1, limits.text_cache_size))
        self.text_cache_hits = self.text_cache_misses = 0
        self.device = DeviceExecutor(limits.concurrent_batches)
        self.given_up: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        self.images, self.texts = self._image_batcher(on_batch), self._text_batcher(on_batch)
        # Few ask for projections that are not normalised: batches of their own are simpler than mixed ones.
        self.projected_images = self._image_batcher(on_batch, normalize=False)
        self.projected_texts = self._text_batcher(on_batch, normalize=False)
        self._batchers = (self.images, self.texts, self.projected_images, self.projected_texts)
        self.preprocessor = Preprocessor(engine, threads=limits.decode_threads, max_text_chars=limits.max_text_chars)
        # Decoded images are the large thing here: those of the batches that run and of the next one, and no more.
        self._decoded_images = FairSemaphore(
            limits.decode_threads + (limits.concurrent_batches + 1) * limits.max_batch_size
        )

    def start(self) -> None:
        for batcher in self._batchers:
            batcher.start()

    def _image_batcher(self, on_batch: OnBatch, *, normalize: bool = True) -> "MicroBatcher[Pixels, Any, Embedding]":
        def run(parts: Sequence[Any]) -> Embedding:
            return self.engine.embed_images(parts, normalize=normalize, share=self.device.share)

        return MicroBatcher(
            self.device,
            stage=self.engine.stage_images,
            run=run,
            budget=self.limits.max_batch_size,
            wait_s=self.limits.batch_wait_s,
            on_batch=partial(on_batch, "image"),
        )

    def _text_batcher(
        self, on_batch: OnBatch, *, normalize: bool = True
    ) -> "MicroBatcher[TokenIds, Sequence[TokenIds], Embedding]":
        def run(parts: Sequence[Sequence[TokenIds]]) -> Embedding:
            token_ids = [ids for part in parts for ids in part]
            return self.engine.embed_texts(token_ids, normalize=normalize, share=self.device.share)

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
        """Tell everybody who waits for `given_up`, which is whoever waits now; later requests wait for a new one."""
        told, self.given_up = self.given_up, asyncio.get_running_loop().create_future()
        told.set_exception(error)
        told.exception()  # nobody may be waiting

    async def stop(self) -> None:
        """End the batchers; whoever still waits gets an error."""
        await asyncio.gather(*(batcher.stop() for batcher in self._batchers))
        self.preprocessor.stop()
        self.device.executor.shutdown(wait=False, cancel_futures=True)

    async def embed(
        self,
        images: Sequence[Item],
        texts: Sequence[Item],
        options: EmbedOptions,
        timings: StageTimings | None = None,
    ) -> tuple[list[Embedding], list[Embedding]]:
        """Embed a request's images and texts: two lists of (D,) vectors in the order given.

        When this is cancelled, what is queued of the request is dropped.

        Raises:
            RowError, TextTooLong: the first bad row, before anything of the request is computed unless it is an
                image that turns out to be damaged behind its header.
            EncodingFailed: the device failed on an entry.
        """
        timings = timings or StageTimings()
        data, bad_image = await self.preprocessor.unpack(images, options, timings)
        token_ids, bad_text = await self.preprocessor.tokenize(texts, timings)
        timings.reached("decode")
        if bad_rows := [bad for bad in (bad_image, bad_text) if bad is not None]:
            raise await self.preprocessor.first_bad_row(min(bad_rows, key=row_of), images, data, options)
        decoded = [asyncio.get_running_loop().create_future() for _ in images]
        image_batcher = self.images if options.normalize else self.projected_images
        text_batcher = self.texts if options.normalize else self.projected_texts
        image_flow, text_flow = image_batcher.flow(), text_batcher.flow()
        tasks = [
            *(
                asyncio.create_task(
                    self._embed_image(*work, options, image_batcher, image_flow.next_start_tag(), timings)
                )
                for work in zip(images, data, decoded, strict=True)
            ),
            *(
                asyncio.create_task(
                    self._embed_text(item, ids, text_batcher, text_flow.next_start_tag(len(ids)), timings)
                )
                for item, ids in zip(texts, token_ids, strict=True)
            ),
        ]
        try:
            embeddings = await _results(tasks, decoded)
        finally:
            for task in tasks:
                task.cancel()
        return embeddings[: len(images)], embeddings[len(images) :]

    async def _embed_image(
        self,
        item: Item,
        data: bytes,
        decoded: asyncio.Future[None],
        options: EmbedOptions,
        batcher: "MicroBatcher[Pixels, Any, Embedding]",
        start_tag: float,
        timings: StageTimings,
    ) -> Embedding:
        async with self._decoded_images.place(start_tag):
            try:
                pixels, key = await self.preprocessor.pixels(item, data, options)
            finally:
                if not decoded.done():
                    decoded.set_result(None)
            timings.reached("preprocess")
            with _failure_named(item, "image"):
                return await batcher.submit(pixels, key=key, start_tag=start_tag, timings=timings)

    async def _embed_text(
        self,
        item: Item,
        token_ids: TokenIds,
        batcher: "MicroBatcher[TokenIds, Sequence[TokenIds], Embedding]",
        start_tag: float,
        timings: StageTimings,
    ) -> Embedding:
        is_cacheable = batcher is self.texts
        cached = self.text_cache.get(token_ids) if is_cacheable else None
        if cached is not None:
            self.text_cache_hits += 1
            return cached
        self.text_cache_misses += 1
        with _failure_named(item, "text"):
            embedding = await batcher.submit(
                token_ids, key=token_ids, start_tag=start_tag, size=len(token_ids), timings=timings
            )
        if is_cacheable and self.limits.text_cache_size:
            self.text_cache[token_ids] = embedding
        return embedding


@contextmanager
def _failure_named(item: Item, column: str) -> Iterator[None]:
    """Say in the device's failure on an entry which row it is of; equal entries of other rows share the failure."""
    try:
        yield
    except EncodingFailed as error:
        raise EncodingFailed(f"Row {item.row}, column {column}: {error}", row=item.row, column=column) from error


async def _results(
    tasks: Sequence[asyncio.Task[Embedding]], decoded: Sequence[asyncio.Future[None]]
) -> list[Embedding]:
    """All results, or the error of the first bad row: rows before one that failed may still be found bad themselves."""
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    failed = next((number for number, task in enumerate(tasks) if _failed(task)), None)
    if failed is None:
        return [task.result() for task in tasks]
    for task in tasks[failed + 1 :]:
        task.cancel()
    if undecided := decoded[: min(failed, len(decoded))]:
        await asyncio.wait(undecided)
    raise next(error for task in tasks if (error := _failed(task)))


def _failed(task: asyncio.Task[Embedding]) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None
