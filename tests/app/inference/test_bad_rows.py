"""Bad rows that are answered in their places: the pipeline computes all the others."""

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import EncodingFailed, RequestInvalid, RowError, TextOverContext
from app.inference.bad_rows import BadRows, ItemTask, finish
from app.inference.items import EmbedOptions, Item
from app.inference.pipeline import Embeddings, Pipeline
from model.errors import ImageDecodeError
from tests.app.inference.test_pipeline import DECODERS, LIMITS, PLAIN, ArithmeticEngine, images, running, texts
from tests.support.patience import PATIENCE_S, until

UNLUCKY = 13


class UnluckyEngine(ArithmeticEngine):
    """An engine whose device fails on the number 13, and whose context ends before texts of four digits or more."""

    def embed_images(self, staged: Sequence[Any], *, normalize: bool = True, share: int = 1) -> Embeddings:
        vectors = super().embed_images(staged, normalize=normalize, share=share)
        if UNLUCKY in vectors:
            raise RuntimeError("the device fails on this image")
        return vectors

    def tokenize_counted(self, text: str) -> tuple[tuple[int, ...], int]:
        ids, count = super().tokenize_counted(text)
        return ids, max(count, len(text))


@pytest.fixture
def engine() -> UnluckyEngine:
    return UnluckyEngine()


async def embedded(
    pipeline: Pipeline, pictures: Sequence[Item], sentences: Sequence[Item], options: EmbedOptions = PLAIN
) -> dict[int, Any]:
    """What each row is answered: its numbers, or the kind of its error."""
    bad_rows = BadRows(answered=True)
    result = await pipeline.embed(pictures, sentences, options, bad_rows=bad_rows)
    rows: dict[int, Any] = {}
    for items, features in ((pictures, result.image_features), (sentences, result.text_features)):
        for item, vector in zip(bad_rows.good(items), features, strict=True):
            rows.setdefault(item.row, []).append(float(vector[0]))
    for row, error in bad_rows.errors.items():
        rows[row] = type(error.cause if isinstance(error, RowError) else error).__name__
    return rows


async def test_bad_rows_are_answered_and_the_others_computed(engine: UnluckyEngine) -> None:
    pictures = images(0, b"damaged", 2, b"huge", b"slowly damaged", UNLUCKY, 6, 7, 8)
    sentences = texts(10, 11, 12, 13, 14, 15, "invalid", "1" * 21)
    async with running(engine) as pipeline:
        assert await embedded(pipeline, pictures, sentences) == {
            0: [0, 10],
            1: "ImageDecodeError",
            2: [2, 12],
            3: "ImageTooLarge",
            4: "ImageDecodeError",
            5: "EncodingFailed",
            6: "TextInvalid",
            7: "TextTooLong",
            8: [8],
        }


async def test_an_error_names_its_row_and_holds_no_image(engine: UnluckyEngine) -> None:
    bad_rows = BadRows(answered=True)
    async with running(engine) as pipeline:
        await pipeline.embed(images(1, UNLUCKY, b"damaged"), [], PLAIN, bad_rows=bad_rows)
    failed, bad = bad_rows.errors[1], bad_rows.errors[2]
    assert str(failed).startswith("Row 1, column image: ")
    assert (bad.row, bad.column) == (2, "image")
    assert [error.__traceback__ or error.__cause__ or error.__context__ for error in (failed, bad)] == [None, None]


def test_the_cause_of_an_error_holds_no_frames() -> None:
    with pytest.raises(ImageDecodeError) as raised:
        raise ImageDecodeError("damaged") from ValueError()
    cause = RowError(0, "image", raised.value).cause
    assert (cause.__traceback__, cause.__cause__, cause.__context__) == (None, None, None)


async def test_a_fault_leaves_no_row_waiting() -> None:
    async def fail(error: Exception) -> None:
        raise error

    image = asyncio.create_task(asyncio.Event().wait())
    before = asyncio.all_tasks()
    tasks = [
        ItemTask(Item(0, b""), asyncio.create_task(fail(ZeroDivisionError()))),
        ItemTask(Item(1, b""), image, asyncio.get_running_loop().create_future()),
        ItemTask(Item(1, ""), asyncio.create_task(fail(RowError(1, "text", ImageDecodeError("bad"))))),
    ]
    with pytest.raises(ZeroDivisionError):
        await finish(tasks, BadRows(answered=True))
    await until(lambda: asyncio.all_tasks() == before)
    image.cancel()


async def test_nothing_is_computed_of_a_row_that_is_known_to_be_bad(engine: UnluckyEngine) -> None:
    bad_rows = BadRows(answered=True, known={1: RequestInvalid("Row 1 is wrong.", row=1)})
    async with running(engine) as pipeline:
        result = await pipeline.embed(images(0, 1, 2), texts(5, 6, "invalid"), PLAIN, bad_rows=bad_rows)
    assert (result.image_features.tolist(), result.text_features.tolist()) == ([[0]], [[5]])
    assert (engine.images, engine.texts, engine.decoded) == (1, 1, 1)
    assert sorted(bad_rows.errors) == [1, 2]


async def test_a_row_without_a_good_item_is_no_vector(engine: UnluckyEngine) -> None:
    async with running(engine) as pipeline:
        assert await embedded(pipeline, images(b"huge"), texts("invalid", "invalid")) == {
            0: "TextInvalid",
            1: "TextInvalid",
        }
    assert engine.images == engine.texts == 0


async def test_the_rest_of_a_row_is_dropped_when_one_of_its_images_is_bad(engine: UnluckyEngine) -> None:
    frames = [Item(0, str(number % 10).encode()) for number in range(300)]
    frames[2] = Item(0, b"damaged")
    async with running(engine) as pipeline:
        assert await embedded(pipeline, [*frames, Item(1, b"7")], []) == {0: "ImageDecodeError", 1: [7]}
    assert engine.decoded < len(frames) // 2


async def test_the_first_bad_image_of_a_row_is_its_error(engine: UnluckyEngine) -> None:
    async with running(engine, decoders=3) as pipeline:
        frames = [Item(0, b"slowly damaged"), Item(0, b"damaged"), Item(0, str(UNLUCKY).encode())]
        bad_rows = BadRows(answered=True)
        await pipeline.embed(frames, [], PLAIN, bad_rows=bad_rows)
        assert await embedded(pipeline, frames[2:], []) == {0: "EncodingFailed"}
    (error,) = bad_rows.errors.values()
    assert isinstance(error, RowError)
    assert isinstance(error.cause, ImageDecodeError)


async def test_a_fault_of_the_service_still_ends_the_request(
    engine: UnluckyEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(engine) as pipeline, asyncio.timeout(PATIENCE_S):
        with pytest.raises(RuntimeError):
            await embedded(pipeline, images(1, b"confused", b"damaged", b"confused"), [])
        assert await embedded(pipeline, images(1), []) == {0: [1]}
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_equal_items_of_good_and_bad_rows_are_computed_once(engine: UnluckyEngine) -> None:
    async with running(engine) as pipeline:
        engine.free.clear()
        first = asyncio.create_task(embedded(pipeline, images(9), []))
        await until(lambda: pipeline.images.entries == 1)
        request = asyncio.create_task(embedded(pipeline, images(5, 5, 5), texts(7, "invalid", 7)))
        await until(lambda: pipeline.images.shared == 1)
        engine.free.set()
        assert await request == {0: [5, 7], 1: "TextInvalid", 2: [5, 7]}
        assert await first == {0: [9]}
        assert await embedded(pipeline, [], texts(7)) == {0: [7]}
        assert pipeline.text_cache_hits == 1
    assert engine.images == 2


async def test_what_is_queued_of_a_cancelled_request_is_dropped(engine: UnluckyEngine) -> None:
    async with running(engine) as pipeline:
        engine.free.clear()
        rows = [b"damaged" if number % 3 == 0 else number for number in range(200)]
        request = asyncio.create_task(embedded(pipeline, images(*rows), texts(*range(200))))
        await until(lambda: engine.decoded == DECODERS + 2 * LIMITS.max_batch_size)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        engine.free.set()
        assert await embedded(pipeline, images(250), texts(250)) == {0: [250, 250]}
        await until(lambda: len(asyncio.all_tasks()) <= 5)  # this test, and two per batcher
    assert engine.decoded <= DECODERS + 2 * LIMITS.max_batch_size + 1


async def test_a_stop_answers_every_row_that_was_not_computed(engine: UnluckyEngine) -> None:
    async with running(engine) as pipeline, asyncio.timeout(PATIENCE_S):
        engine.free.clear()
        request = asyncio.create_task(embedded(pipeline, images(*range(20)), texts(*range(20))))
        await until(lambda: pipeline.images.entries + pipeline.texts.entries > 0)
        await pipeline.stop()
        assert set((await request).values()) == {EncodingFailed.__name__}


async def test_a_request_of_bad_rows_starves_no_small_one(engine: UnluckyEngine) -> None:
    engine.batch_s = 0.02
    async with running(engine) as pipeline:
        rows = [b"damaged" if number % 2 else number % 10 + number // 20 * 10 for number in range(400)]
        large = asyncio.create_task(embedded(pipeline, images(*rows), []))
        waited = []
        for number in range(250, 255):
            await until(lambda: engine.images >= LIMITS.max_batch_size)
            before = engine.images
            await embedded(pipeline, images(number), [])
            waited.append((engine.images - before) / LIMITS.max_batch_size)
        assert not large.done()
        assert np.median(waited) <= 3
        large.cancel()


async def test_a_text_over_the_context_is_cut_and_counted_or_a_bad_row(engine: UnluckyEngine) -> None:
    sentences = texts(1, "0002", 3, "00004")
    async with running(engine) as pipeline:
        cut = await pipeline.embed([], sentences, PLAIN)
        assert (cut.text_features.tolist(), cut.tokens, cut.truncated_texts) == ([[1], [2], [3], [4]], 12, 2)
        whole = EmbedOptions(normalize=False, truncate=False)
        with pytest.raises(RowError, match="the text has 4 tokens, the model reads 3") as refused:
            await pipeline.embed([], sentences, whole)
        assert (refused.value.row, type(refused.value.cause)) == (1, TextOverContext)
        assert await embedded(pipeline, [], sentences, whole) == {
            0: [1], 1: "TextOverContext", 2: [3], 3: "TextOverContext"
        }  # fmt: skip


PICTURES = st.sampled_from([None, b"1", b"2", b"200", b"13", b"damaged", b"huge"])
SENTENCES = st.sampled_from([None, "1", "22", "00001", "invalid", "1" * 21])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(PICTURES, SENTENCES).filter(any), min_size=1, max_size=40), truncate=st.booleans())
def test_every_row_is_answered_as_the_only_row(rows: list[tuple[bytes | None, str | None]], truncate: bool) -> None:
    options = EmbedOptions(normalize=False, truncate=truncate)

    async def answered(pipeline: Pipeline, *numbers: int) -> dict[int, Any]:
        pictures = [Item(number, data) for number in numbers if (data := rows[number][0]) is not None]
        sentences = [Item(number, text) for number in numbers if (text := rows[number][1]) is not None]
        return await embedded(pipeline, pictures, sentences, options)

    async def run() -> None:
        async with running(UnluckyEngine(), text_cache_size=0) as pipeline:
            together = await answered(pipeline, *range(len(rows)))
            alone = [await answered(pipeline, number) for number in range(len(rows))]
        assert together == {row: answer for one in alone for row, answer in one.items()}

    asyncio.run(run())


@pytest.mark.parametrize("bad", [0, 1, 300, 600], ids=lambda bad: f"{bad} bad")
async def test_six_hundred_rows_at_once(bad: int, engine: UnluckyEngine) -> None:
    rows = [b"damaged" if number < bad else number % 10 for number in range(600)]
    async with running(engine, max_batch_size=32) as pipeline:
        requests = [embedded(pipeline, images(*rows), []) for _ in range(3)]
        for answer in await asyncio.gather(*requests):
            assert answer == {n: "ImageDecodeError" if n < bad else [n % 10] for n in range(600)}


def test_a_row_keeps_its_first_error_and_a_request_its_first_row() -> None:
    errors = [RowError(row, "image", ImageDecodeError("damaged")) for row in (4, 4, 2)]
    answering, refusing = BadRows(answered=True), BadRows()
    assert [answering.add(error) for error in errors] == [True, True, True]  # later rows still matter
    assert [refusing.add(error) for error in errors] == [False, False, False]
    assert answering.errors == {4: errors[0], 2: errors[2]}
    assert (answering.refusal, refusing.refusal) == (None, errors[2])
    assert [item.row for item in answering.good(images(0, 1, 2, 3, 4, 5))] == [0, 1, 3, 5]
