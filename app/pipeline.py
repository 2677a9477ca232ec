"""The way of a request's rows: admitted, decoded in a bounded pool, batched onto the device, put back in order."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn, Protocol

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from app.batching import MicroBatcher
from app.errors import EncodingFailed, RowError, TextTooLong, TooManyRows
from app.fairness import FairSemaphore
from app.threads import DeviceThreads, Value, in_thread
from app.timeline import Timeline
from model.errors import InvalidInput
from model.images import decode_base64
from model.preprocessing import Standardization
from model.rendering import AS_STORED, Rendering

Embedding = NDArray[np.float32]
Pixels = NDArray[np.uint8]
TokenIds = tuple[int, ...]
BadRow = RowError | TextTooLong
OnBatch = Callable[[str, int, float], None]

QUICK_CHARS = 500  # are tokenised in less time than it takes to wake a thread and to be woken by it


class Engine(Protocol):
    """What the pipeline needs of `model.engine.EmbeddingEngine`."""

    def check_image(self, data: bytes, rendering: Rendering) -> None: ...
    def frame_count(self, data: bytes, rendering: Rendering) -> int: ...
    def preprocess_image(
        self, data: bytes, standardization: Standardization | None, rendering: Rendering
    ) -> Pixels: ...
    def tokenize(self, text: str) -> TokenIds: ...
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


@dataclass(frozen=True)
class Side:
    """One image (bytes or base64) or one text, and the row that it stands in."""

    row: int
    value: bytes | str
    frame: int | None = None  # None leaves it to the request's rendering


@dataclass(frozen=True)
class Preparation:
    """What becomes of a request's images before, and of its vectors behind, the encoders."""

    standardization: Standardization | None = None
    rendering: Rendering = AS_STORED
    normalize: bool = True

    def rendering_of(self, side: Side) -> Rendering:
        return self.rendering if side.frame is None else replace(self.rendering, frame=side.frame)


class Pipeline:
    """Runs requests against one engine; made and stopped on the event loop."""

    def __init__(self, engine: Engine, limits: PipelineLimits, on_batch: OnBatch = lambda *_: None) -> None:
        """Make a pipeline; `on_batch` is told the kind, the number of entries and the fill of each device call."""
        self.engine, self.limits = engine, limits
        self.text_cache: LRUCache[TokenIds, Embedding] = LRUCache(max(1, limits.text_cache_size))
        self.text_cache_hits = self.text_cache_misses = 0
        self.device = DeviceThreads(limits.concurrent_batches)
        self.given_up: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        self.images, self.texts = self._image_batcher(on_batch), self._text_batcher(on_batch)
        # Few ask for projections that are not normalised: batches of their own are simpler than mixed ones.
        self.projected_images = self._image_batcher(on_batch, normalize=False)
        self.projected_texts = self._text_batcher(on_batch, normalize=False)
        self._batchers = (self.images, self.texts, self.projected_images, self.projected_texts)
        self._decode_pool = ThreadPoolExecutor(limits.decode_threads, thread_name_prefix="decode")
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
            stage_aside=False,
            run=run,
            budget=self.limits.text_batch_tokens,
            wait_s=self.limits.batch_wait_s,
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
        self._decode_pool.shutdown(wait=False, cancel_futures=True)
        self.device.executor.shutdown(wait=False, cancel_futures=True)

    async def embed(
        self,
        images: Sequence[Side],
        texts: Sequence[Side],
        preparation: Preparation,
        timeline: Timeline | None = None,
    ) -> tuple[list[Embedding], list[Embedding]]:
        """Embed a request's images and texts: two lists of (D,) vectors in the order given.

        When this is cancelled, what is queued of the request is dropped.

        Raises:
            RowError, TextTooLong: the first bad row, before anything of the request is computed unless it is an
                image that turns out to be damaged behind its header.
            EncodingFailed: the device failed on an entry.
        """
        timeline = timeline or Timeline()
        data, bad_image = await self._unpack(images, preparation, timeline)
        token_ids, bad_text = await self._tokenize(texts, timeline)
        timeline.reached("decode")
        if bad_rows := [bad for bad in (bad_image, bad_text) if bad is not None]:
            raise await self._first_bad_row(min(bad_rows, key=_row_of), images, data, preparation)
        decoded = [asyncio.get_running_loop().create_future() for _ in images]
        image_batcher = self.images if preparation.normalize else self.projected_images
        text_batcher = self.texts if preparation.normalize else self.projected_texts
        image_flow, text_flow = image_batcher.flow(), text_batcher.flow()
        tasks = [
            *(
                asyncio.create_task(
                    self._embed_image(*work, preparation, image_batcher, image_flow.next_start(), timeline)
                )
                for work in zip(images, data, decoded, strict=True)
            ),
            *(
                asyncio.create_task(self._embed_text(side, ids, text_batcher, text_flow.next_start(len(ids)), timeline))
                for side, ids in zip(texts, token_ids, strict=True)
            ),
        ]
        try:
            embeddings = await _results(tasks, decoded)
        finally:
            for task in tasks:
                task.cancel()
        return embeddings[: len(images)], embeddings[len(images) :]

    async def _first_bad_row(
        self, known: BadRow, images: Sequence[Side], data: Sequence[bytes], preparation: Preparation
    ) -> BadRow:
        """The first damaged image above a row that is known to be bad, or that row."""
        for side, image in zip(images, data, strict=False):
            if side.row >= _row_of(known):
                break
            try:
                await self._in_decode_pool(partial(self._preprocessed, side, image, preparation))
            except InvalidInput as error:
                return RowError(side.row, "image", error)
        return known

    async def every_frame(
        self, images: Sequence[Side], rendering: Rendering, *, most: int, timeline: Timeline
    ) -> list[Side]:
        """One side a frame of each image, in their order.

        Raises:
            RowError: the first image whose header cannot be read.
            TooManyRows: more than `most` frames together.
        """
        total = 0

        def frames(side: Side) -> list[Side]:
            nonlocal total
            data = _bytes_of(side)
            count = self.engine.frame_count(data, rendering)
            total += count
            if total > most:
                return []
            return [Side(side.row, data, frame) for frame in range(count)]

        found, bad_row = await self._each(images, "image", frames, timeline)
        if bad_row is not None:
            raise bad_row
        if total > most:
            raise TooManyRows(
                f"The images have {total:,} frames, at most {most} are allowed; pick them with params.frame."
            )
        return [side for sides in found for side in sides]

    def _preprocessed(self, side: Side, data: bytes, preparation: Preparation) -> Pixels:
        return self.engine.preprocess_image(data, preparation.standardization, preparation.rendering_of(side))

    async def _unpack(
        self, images: Sequence[Side], preparation: Preparation, timeline: Timeline
    ) -> tuple[list[bytes], BadRow | None]:
        """Undo base64 and, when there are several images, read all headers before any pixel is decoded."""

        def unpack(side: Side) -> bytes:
            data = _bytes_of(side)
            if len(images) > 1:
                self.engine.check_image(data, preparation.rendering_of(side))
            return data

        return await self._each(images, "image", unpack, timeline)

    async def _tokenize(self, texts: Sequence[Side], timeline: Timeline) -> tuple[list[TokenIds], BadRow | None]:
        def tokenize(side: Side) -> TokenIds:
            text = str(side.value)
            most = self.limits.max_text_chars
            if len(text) > most:
                raise TextTooLong(
                    f"Row {side.row}, column text: {len(text):,} characters; at most {most:,} are allowed.",
                    row=side.row,
                    column="text",
                )
            return self.engine.tokenize(text)

        is_quick = sum(len(str(side.value)) for side in texts) <= QUICK_CHARS
        return await self._each(texts, "text", tokenize, timeline, aside=not is_quick)

    async def _each(
        self,
        sides: Sequence[Side],
        column: str,
        function: Callable[[Side], Value],
        timeline: Timeline,
        *,
        aside: bool = True,
    ) -> tuple[list[Value], BadRow | None]:
        """Apply a function to all sides, in one thread of the pool if `aside`.

        The first bad row ends it, and is returned too.
        """

        def apply() -> tuple[list[Value], BadRow | None]:
            timeline.reached_first("wait")
            done: list[Value] = []
            for side in sides:
                try:
                    done.append(function(side))
                except InvalidInput as error:
                    return done, RowError(side.row, column, error)
                except TextTooLong as error:
                    return done, error
            return done, None

        if not sides:
            return [], None
        return await self._in_decode_pool(apply) if aside else apply()

    async def _embed_image(
        self,
        side: Side,
        data: bytes,
        decoded: asyncio.Future[None],
        preparation: Preparation,
        batcher: "MicroBatcher[Pixels, Any, Embedding]",
        start: float,
        timeline: Timeline,
    ) -> Embedding:
        def decode() -> tuple[Pixels, bytes]:
            pixels = self._preprocessed(side, data, preparation)
            return pixels, hashlib.blake2b(pixels.data).digest()

        async with self._decoded_images.place(start):
            try:
                pixels, key = await self._in_decode_pool(decode)
            except InvalidInput as error:
                raise RowError(side.row, "image", error) from error
            finally:
                if not decoded.done():
                    decoded.set_result(None)
            timeline.reached("preprocess")
            with _failure_named(side, "image"):
                return await batcher.submit(pixels, key=key, start=start, timeline=timeline)

    async def _embed_text(
        self,
        side: Side,
        token_ids: TokenIds,
        batcher: "MicroBatcher[TokenIds, Sequence[TokenIds], Embedding]",
        start: float,
        timeline: Timeline,
    ) -> Embedding:
        is_cacheable = batcher is self.texts
        cached = self.text_cache.get(token_ids) if is_cacheable else None
        if cached is not None:
            self.text_cache_hits += 1
            return cached
        self.text_cache_misses += 1
        with _failure_named(side, "text"):
            embedding = await batcher.submit(
                token_ids, key=token_ids, start=start, size=len(token_ids), timeline=timeline
            )
        if is_cacheable and self.limits.text_cache_size:
            self.text_cache[token_ids] = embedding
        return embedding

    async def _in_decode_pool(self, function: Callable[[], Value]) -> Value:
        return await in_thread(self._decode_pool, function)


@contextmanager
def _failure_named(side: Side, column: str) -> Iterator[None]:
    """Say in the device's failure on an entry which row it is of; equal entries of other rows share the failure."""
    try:
        yield
    except EncodingFailed as error:
        raise EncodingFailed(f"Row {side.row}, column {column}: {error}", row=side.row, column=column) from error


def _bytes_of(side: Side) -> bytes:
    return side.value if isinstance(side.value, bytes) else decode_base64(side.value)


def _row_of(bad: BadRow) -> int:
    return bad.row or 0


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
