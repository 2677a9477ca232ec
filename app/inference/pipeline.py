"""From the items of a request to their vectors: preprocessing, batching, the device, and the original order."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from app.decoding.pool import DecoderPool
from app.errors import EncodingFailed, TextEncoderNotLoaded
from app.fair_queueing import FairSemaphore, Flow
from app.inference.bad_rows import BadRows, ItemTask, finish
from app.inference.batching import MicroBatcher
from app.inference.device_executor import DeviceExecutor
from app.inference.items import EmbedOptions, Item
from app.inference.preprocessor import Pixels, PreprocessingLimits, Preprocessor, TokenIds, TokenizedText
from app.telemetry.stage_timings import StageTimings
from model.normalization import unit_norm

Embeddings = NDArray[np.float32]
"""One vector (D,), or several (n, D)."""
OnBatch = Callable[[str, int, float], None]

# A large text encoder spends most of the time of a few short texts on reading its weights, once per batch.
TEXT_COALESCE_FRACTION = 0.02


class Engine(Protocol):
    """The part of `model.engine.EmbeddingEngine` that the pipeline needs."""

    def tokenize_counted(self, text: str) -> tuple[TokenIds, int]: ...
    def stage_images(self, pixels: Sequence[Pixels]) -> Any: ...
    def embed_images(self, staged: Sequence[Any], *, normalize: bool, share: int) -> Embeddings: ...
    def embed_texts(self, token_ids: Sequence[TokenIds], *, normalize: bool, share: int) -> Embeddings: ...


class Embedded(NamedTuple):
    """The vectors of the good rows of a request.

    Args:
        image_features: (images, D) float32, in the order given.
        text_features: (texts, D) float32, in the order given.
        tokens: token ids of all texts, start and end of each text included.
        truncated_texts: texts that were longer than the context.
    """

    image_features: Embeddings
    text_features: Embeddings
    tokens: int
    truncated_texts: int


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
        reads_texts: whether the engine has its text encoder.
    """

    max_batch_size: int
    text_batch_tokens: int
    preprocessing: PreprocessingLimits
    text_cache_size: int
    batch_wait_s: float = 0.0
    concurrent_batches: int = 1
    reads_texts: bool = True


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
        self.preprocessor = Preprocessor(engine.tokenize_counted, decoders, limits.preprocessing)
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
        self,
        images: Sequence[Item],
        texts: Sequence[Item],
        options: EmbedOptions,
        timings: StageTimings | None = None,
        bad_rows: BadRows | None = None,
    ) -> Embedded:
        """Embed the images and the texts of a request.

        If this is cancelled, the queued entries of the request are dropped.

        Args:
            images: the images.
            texts: the texts.
            options: how images are preprocessed and texts are cut, and whether vectors are normalised.
            timings: of the request.
            bad_rows: gets the error of each bad row, if bad rows are answered; items of rows that are bad already are
                left out. Default: the first bad row refuses the request.

        Raises:
            RowError, TextTooLong: the first bad row, if it refuses the request. Nothing of the request was computed
                before, unless the row is an image that turned out to be damaged behind its header.
            EncodingFailed: the device failed on an entry, if bad rows refuse the request.
            TextEncoderNotLoaded: there are texts, and the text encoder is not loaded; nothing was computed.
        """
        self.check_reads(texts)
        timings, bad_rows = timings or StageTimings(), bad_rows or BadRows()
        decoding = self.preprocessor.flow()
        await self.preprocessor.check_headers(bad_rows.good(images), options, decoding, timings, bad_rows)
        tokenized = await self.preprocessor.tokenize(bad_rows.good(texts), options, timings, bad_rows)
        timings.mark_end("decode")
        if bad_rows.refusal is not None:
            raise await self.preprocessor.first_bad_row(bad_rows.refusal, images, options, decoding, timings)
        image_flow, text_flow = self.images.flow(), self.texts.flow()
        image_tasks = [
            self._image_task(item, options, decoding, image_flow.next_start_tag(), timings)
            for item in bad_rows.good(images)
        ]
        text_tasks = [
            self._text_task(text, text_flow.next_start_tag(len(text.ids)), timings)
            for text in tokenized
            if text.item.row not in bad_rows.errors
        ]
        try:
            await finish([*image_tasks, *text_tasks], bad_rows)
        finally:
            for task in (*image_tasks, *text_tasks):
                task.done.cancel()
        kept = [text for text in tokenized if text.item.row not in bad_rows.errors]
        return Embedded(
            _stacked(_results(image_tasks, bad_rows), options),
            _stacked(_results(text_tasks, bad_rows), options),
            sum(len(text.ids) for text in kept),
            sum(text.is_cut for text in kept),
        )

    def check_reads(self, texts: Sequence[Item]) -> None:
        """Raise TextEncoderNotLoaded if there are texts and the text encoder is not loaded."""
        if texts and not self.limits.reads_texts:
            raise TextEncoderNotLoaded(
                "This server embeds no texts, because it was started with IMAGE_ONLY; send only images, or ask the "
                "operator to start it without IMAGE_ONLY."
            )

    def _image_task(
        self, item: Item, options: EmbedOptions, decoding: Flow, start_tag: float, timings: StageTimings
    ) -> ItemTask:
        decoded = asyncio.get_running_loop().create_future()
        embedding = self._embed_image(item, decoded, options, decoding, start_tag, timings)
        return ItemTask(item, asyncio.create_task(embedding), decoded)

    def _text_task(self, text: TokenizedText, start_tag: float, timings: StageTimings) -> ItemTask:
        return ItemTask(text.item, asyncio.create_task(self._embed_text(text.item, text.ids, start_tag, timings)))

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


def _results(tasks: Sequence[ItemTask], bad_rows: BadRows) -> list[Embeddings]:
    return [task.done.result() for task in tasks if task.item.row not in bad_rows.errors]


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
