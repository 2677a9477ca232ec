"""The pipeline, with an engine that does arithmetic: "7" becomes the embedding [7]."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.decoding.decoder import Payload, Reply, Task
from app.decoding.pool import DecoderPool
from app.decoding.workers import ThreadWorker
from app.errors import EncodingFailed, RowError, TextTooLong
from app.inference.items import EmbedOptions, Item
from app.inference.pipeline import Embeddings, Pipeline, PipelineLimits
from app.inference.preprocessor import Pixels, PreprocessingLimits, TokenIds
from model.errors import ImageDecodeError, ImageTooLarge, TextInvalid
from tests.support.patience import PATIENCE_S, until

DECODERS = 2
LIMITS = PipelineLimits(
    max_batch_size=4,
    text_batch_tokens=64,
    preprocessing=PreprocessingLimits((1, 1), max_pixels=1000, max_text_chars=20, text_threads=2),
    text_cache_size=10,
)
PLAIN = EmbedOptions(normalize=False)


class ArithmeticDecoder:
    """Decodes the bytes of a number, "huge", "damaged", "slowly damaged" or "confused"."""

    def __init__(self) -> None:
        self.decoded = 0

    def perform(self, task: Task, payload: Payload | None) -> Reply:
        if payload == b"huge":
            raise ImageTooLarge("the image is huge")
        if task.kind == "check":
            return Reply()
        if payload == b"slowly damaged":
            time.sleep(0.1)
        if payload in (b"damaged", b"slowly damaged"):
            raise ImageDecodeError("the image is damaged")
        if payload == b"confused":
            raise StopIteration
        assert payload is not None
        self.decoded += 1
        data = bytes([int(payload)] * 3)
        return Reply(data, digest=data.hex())

    def forget(self) -> None:
        pass


class ArithmeticEngine:
    """An engine that gives back the numbers which its images and texts are."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.images = self.texts = 0
        self.batch_s = 0.0
        self.decoder = ArithmeticDecoder()

    @property
    def decoded(self) -> int:
        return self.decoder.decoded

    def tokenize_counted(self, text: str) -> tuple[TokenIds, int]:
        if text == "invalid":
            raise TextInvalid("the text is invalid")
        return (0, int(text), 1), 3

    def stage_images(self, pixels: Sequence[Pixels]) -> Pixels:
        return np.stack(pixels)

    def embed_images(self, staged: Sequence[Any], *, normalize: bool = True, share: int = 1) -> Embeddings:
        assert self.free.wait(PATIENCE_S)
        time.sleep(self.batch_s)
        batch = np.concatenate(staged)
        self.images += len(batch)
        return batch[:, 0, 0, :1].astype(np.float32)

    def embed_texts(self, token_ids: Sequence[TokenIds], *, normalize: bool = True, share: int = 1) -> Embeddings:
        assert self.free.wait(PATIENCE_S)
        self.texts += len(token_ids)
        return np.array([[ids[1]] for ids in token_ids], dtype=np.float32)


@asynccontextmanager
async def running(engine: ArithmeticEngine, decoders: int = DECODERS, **limits: Any) -> AsyncIterator[Pipeline]:
    pool = DecoderPool([ThreadWorker(engine.decoder) for _ in range(decoders)], cpu_s=PATIENCE_S)
    pipeline = Pipeline(engine, pool, replace(LIMITS, **limits))
    pipeline.start()
    try:
        yield pipeline
    finally:
        engine.free.set()
        await pipeline.stop()
        pool.stop()


@pytest.fixture
def engine() -> ArithmeticEngine:
    return ArithmeticEngine()


def images(*values: bytes | int) -> list[Item]:
    return [Item(row, str(value).encode() if isinstance(value, int) else value) for row, value in enumerate(values)]


def texts(*values: str | int) -> list[Item]:
    return [Item(row, str(value)) for row, value in enumerate(values)]


async def test_results_come_in_the_order_given(engine: ArithmeticEngine) -> None:
    async with running(engine) as pipeline:
        numbers = [3, 1, 2, 3, 9, 8, 7, 6]
        embedded = await pipeline.embed(images(*numbers), texts(*numbers), PLAIN)
    for vectors in (embedded.image_features, embedded.text_features):
        assert np.concatenate(vectors).tolist() == numbers


@pytest.mark.parametrize(
    ("bad_images", "bad_texts", "row", "column"),
    [
        ({3: b"damaged", 7: b"huge"}, {}, 3, "image"),
        ({3: b"huge", 7: b"damaged"}, {}, 3, "image"),
        ({3: b"slowly damaged", 7: b"damaged"}, {}, 3, "image"),
        ({3: b"slowly damaged", 4: b"damaged", 5: b"damaged"}, {}, 3, "image"),
        ({3: b"slowly damaged", 4: b"slowly damaged", 5: b"damaged"}, {}, 3, "image"),
        ({7: b"huge"}, {3: "invalid"}, 3, "text"),
        ({3: b"huge"}, {7: "invalid"}, 3, "image"),
        ({3: b"slowly damaged"}, {7: "invalid"}, 3, "image"),
        ({7: b"damaged"}, {3: "invalid"}, 3, "text"),
        ({}, {3: "invalid", 7: "invalid"}, 3, "text"),
    ],
)
async def test_the_first_bad_row_is_named(
    bad_images: dict[int, bytes],
    bad_texts: dict[int, str],
    row: int,
    column: str,
    engine: ArithmeticEngine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(engine, decoders=3) as pipeline:
        with pytest.raises(RowError) as bad:
            await pipeline.embed(
                images(*(bad_images.get(number, number) for number in range(10))),
                texts(*(bad_texts.get(number, number) for number in range(10))),
                PLAIN,
            )
        assert (bad.value.row, bad.value.column) == (row, column)
        del bad
        await pipeline.embed(images(1), [], PLAIN)
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_a_text_over_the_limit_is_a_bad_row_like_any_other(engine: ArithmeticEngine) -> None:
    async with running(engine) as pipeline:
        with pytest.raises(TextTooLong, match="Row 2, column text: the text has 21 characters, at most 20"):
            await pipeline.embed(images(b"7", b"7", b"7", b"damaged"), texts(0, 1, "1" * 21), PLAIN)
        with pytest.raises(RowError, match="damaged"):
            await pipeline.embed(images(b"7", b"damaged"), texts(0, 1, "1" * 21), PLAIN)


async def test_nothing_reaches_the_device_of_a_request_whose_headers_or_texts_are_bad(engine: ArithmeticEngine) -> None:
    async with running(engine) as pipeline:
        for bad in (images(1, 2, b"huge"), texts(1, 2, "invalid")):
            with pytest.raises(RowError):
                await pipeline.embed(
                    *((bad, texts(5)) if isinstance(bad[0].payload, bytes) else (images(5), bad)), PLAIN
                )
    assert engine.images == engine.texts == 0


async def test_only_so_many_decoded_images_wait_for_the_device(engine: ArithmeticEngine) -> None:
    async with running(engine) as pipeline:
        engine.free.clear()
        requests = [asyncio.create_task(pipeline.embed(images(*range(50)), [], PLAIN)) for _ in range(4)]
        most = DECODERS + 2 * LIMITS.max_batch_size
        await until(lambda: engine.decoded == most)
        await asyncio.sleep(0.05)
        assert engine.decoded == most
        engine.free.set()
        for request in requests:
            assert np.concatenate((await request)[0]).tolist() == list(range(50))


async def test_a_large_request_starves_no_small_one(engine: ArithmeticEngine) -> None:
    engine.batch_s = 0.02
    async with running(engine) as pipeline:
        large = asyncio.create_task(pipeline.embed(images(*range(200)), [], PLAIN))
        waited = []
        for number in range(200, 205):
            await until(lambda: engine.images >= LIMITS.max_batch_size)
            before = engine.images
            await pipeline.embed(images(number), [], PLAIN)
            waited.append((engine.images - before) / LIMITS.max_batch_size)
        assert not large.done()
        assert np.median(waited) <= 3  # the batch that runs, the one that is staged, and its own
        large.cancel()


async def test_a_text_waits_for_one_image_batch_at_most(engine: ArithmeticEngine) -> None:
    engine.batch_s = 0.02
    async with running(engine) as pipeline:
        large = asyncio.create_task(pipeline.embed(images(*range(200)), [], PLAIN))
        waited = []
        for number in range(5):
            await until(lambda: engine.images >= LIMITS.max_batch_size)
            before = engine.images
            await pipeline.embed([], texts(number), PLAIN)
            waited.append((engine.images - before) / LIMITS.max_batch_size)
        assert not large.done()
        assert np.median(waited) <= 1
        large.cancel()


async def test_what_is_queued_of_a_cancelled_request_is_dropped(engine: ArithmeticEngine) -> None:
    async with running(engine) as pipeline:
        engine.free.clear()
        request = asyncio.create_task(pipeline.embed(images(*range(200)), texts(*range(200)), PLAIN))
        await until(lambda: engine.decoded == DECODERS + 2 * LIMITS.max_batch_size)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        engine.free.set()
        assert np.concatenate((await pipeline.embed(images(250), texts(250), PLAIN))[0]).tolist() == [250]
        await until(lambda: pipeline.texts.dropped > 100)
        assert pipeline.images.dropped > 0
    assert engine.images <= 2 * LIMITS.max_batch_size
    assert engine.texts <= 2 * LIMITS.text_batch_tokens // 3
    assert engine.decoded <= DECODERS + 2 * LIMITS.max_batch_size + 1


async def test_text_embeddings_are_cached(engine: ArithmeticEngine) -> None:
    async with running(engine) as pipeline:
        await pipeline.embed([], texts(1, 2, 3), PLAIN)
        again = (await pipeline.embed([], texts(3, 4), PLAIN))[1]
        assert np.concatenate(again).tolist() == [3, 4]
        assert (engine.texts, pipeline.text_cache_hits) == (4, 1)


async def test_the_least_recently_used_text_is_evicted_first(engine: ArithmeticEngine) -> None:
    async with running(engine, text_cache_size=2) as pipeline:
        for text in (1, 2, 1, 3, 1, 2):  # 3 takes the place of 2
            await pipeline.embed([], texts(text), PLAIN)
        assert (engine.texts, pipeline.text_cache_hits) == (4, 2)


async def test_size_0_turns_the_text_cache_off(engine: ArithmeticEngine) -> None:
    async with running(engine, text_cache_size=0) as pipeline:
        for _ in range(3):
            await pipeline.embed([], texts(1), PLAIN)
        assert (engine.texts, pipeline.text_cache_hits) == (3, 0)


async def test_equal_images_of_several_requests_are_computed_once(engine: ArithmeticEngine) -> None:
    async with running(engine) as pipeline:
        engine.free.clear()
        first = asyncio.create_task(pipeline.embed(images(9), [], PLAIN))
        await until(lambda: pipeline.images.entries == 1)
        requests = [asyncio.create_task(pipeline.embed(images(5, 5), [], PLAIN)) for _ in range(2)]
        await until(lambda: pipeline.images.shared == 3)
        engine.free.set()
        await asyncio.gather(first, *requests)
    assert engine.images == 2


async def test_a_fault_in_the_decoder_ends_the_request(engine: ArithmeticEngine) -> None:
    async with running(engine) as pipeline, asyncio.timeout(PATIENCE_S):
        with pytest.raises(RuntimeError):
            await pipeline.embed(images(1, b"confused"), [], PLAIN)


async def test_stopping_ends_the_requests_in_flight(engine: ArithmeticEngine) -> None:
    async with running(engine) as pipeline, asyncio.timeout(PATIENCE_S):
        engine.free.clear()
        request = asyncio.create_task(pipeline.embed(images(*range(20)), texts(*range(20)), PLAIN))
        await until(lambda: pipeline.images.entries + pipeline.texts.entries > 0)
        await pipeline.stop()
        with pytest.raises(EncodingFailed):
            await request


async def test_requests_with_and_without_normalisation_share_vectors(engine: ArithmeticEngine) -> None:
    async with running(engine) as pipeline:
        assert (await pipeline.embed([], texts(7), EmbedOptions()))[1].tolist() == [[1]]
        assert (await pipeline.embed([], texts(7), PLAIN))[1].tolist() == [[7]]
        assert (engine.texts, pipeline.text_cache_hits) == (1, 1)
