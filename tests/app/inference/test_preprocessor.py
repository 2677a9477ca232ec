"""Preprocessing, with a decoder that records its tasks."""

import asyncio
import base64
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from app.decoding.decoder import Payload, Reply, Task
from app.decoding.pool import DecoderPool
from app.decoding.workers import ThreadWorker
from app.errors import RowError, TextTooLong, TooManyRows, UrlNotAllowed
from app.inference.bad_rows import BadRow, BadRows
from app.inference.items import EmbedOptions, Item
from app.inference.preprocessor import (
    SHORT_TEXT_CHARS,
    TEXT_CHUNK_CHARS,
    PreprocessingLimits,
    Preprocessor,
    TokenIds,
)
from app.telemetry.stage_timings import StageTimings
from model.errors import ImageDecodeError, ImageTooLarge, TextInvalid
from model.imaging.limits import MAX_FRAMES_PIXELS
from model.imaging.preprocessing import Preprocessing, Standardization
from model.imaging.rendering import AS_STORED, Rendering
from tests.support.patience import PATIENCE_S, until

MOST_CHARS = 4 * SHORT_TEXT_CHARS
LIMITS = PreprocessingLimits((1, 1), max_pixels=1000, max_text_chars=MOST_CHARS, text_threads=1)
TIMINGS = StageTimings()


class NotingDecoder:
    """A decoder of files of one frame for each of their bytes, whose grey value the byte is.

    `huge` has too large a header, `broken` is damaged behind its header, a file that begins with "z" inflates, one that
    begins with "w" has wide frames.
    """

    def __init__(self) -> None:
        self.opened: list[bytes] = []
        self.tasks: list[Task] = []
        self.kept: bytes | None = None

    def perform(self, task: Task, payload: Payload | None) -> Reply:
        self.tasks.append(task)
        if payload is None:
            data = self.kept
            assert data is not None
        else:
            data = base64.b64decode(payload) if isinstance(payload, str) else payload
            self.opened.append(data)
            self.kept = None if task.keep_open else self.kept
        if data == b"huge":
            raise ImageTooLarge("the image is huge")
        if task.keep_open:
            self.kept = data
        frame = task.rendering.frame or 0
        if task.kind == "count":
            return Reply(frame_count=len(data), inflates=data.startswith(b"z"))
        if task.kind == "check":
            return Reply()
        if data == b"broken":
            raise ImageDecodeError("the image is damaged")
        pixels = MAX_FRAMES_PIXELS // 2 + 1 if data.startswith(b"w") else 1
        return Reply(bytes([data[frame]] * 3), len(data), picture_pixels=pixels, digest=str(data[frame]))

    def forget(self) -> None:
        self.kept = None


class Words:
    """A tokenizer that notes its thread."""

    def __init__(self) -> None:
        self.thread = ""
        self.texts = 0

    def tokenize(self, text: str) -> tuple[TokenIds, int]:
        self.thread = threading.current_thread().name
        self.texts += 1
        if text == "invalid":
            raise TextInvalid("the text is invalid")
        return (len(text),), len(text.split())


@pytest.fixture
def decoder() -> NotingDecoder:
    return NotingDecoder()


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
async def preprocessor(decoder: NotingDecoder, words: Words) -> AsyncIterator[Preprocessor]:
    pool = DecoderPool([ThreadWorker(decoder)], cpu_s=PATIENCE_S)
    preprocessor = Preprocessor(words.tokenize, pool, LIMITS)
    yield preprocessor
    preprocessor.stop()
    pool.stop()


async def first_bad_header(preprocessor: Preprocessor, *items: Item) -> BadRow | None:
    bad_rows = BadRows()
    await preprocessor.check_headers(items, EmbedOptions(), preprocessor.flow(), TIMINGS, bad_rows)
    return bad_rows.refusal


async def tokenized(preprocessor: Preprocessor, *items: Item) -> tuple[list[TokenIds], BadRow | None]:
    """The token ids of the texts, and the error of the first bad one."""
    bad_rows = BadRows()
    texts = await preprocessor.tokenize(items, EmbedOptions(), TIMINGS, bad_rows)
    return [text.ids for text in texts], bad_rows.refusal


async def grey(
    preprocessor: Preprocessor,
    item: Item,
    options: EmbedOptions = EmbedOptions(),  # noqa: B008 (frozen)
) -> int:
    """The grey value of the picture of an item."""
    pixels, _ = await preprocessor.pixels(item, options, preprocessor.flow(), TIMINGS)
    return int(pixels[0, 0, 0])


async def test_the_headers_of_several_images_are_read_before_any_picture(
    preprocessor: Preprocessor, decoder: NotingDecoder
) -> None:
    one = Item(0, base64.b64encode(b"one").decode())
    assert await first_bad_header(preprocessor, one) is None
    assert decoder.tasks == []  # decoding it reads its header soon enough
    bad = await first_bad_header(preprocessor, one, Item(1, b"huge"), Item(2, b"two"))
    assert isinstance(bad, RowError)
    assert (bad.row, bad.column, str(bad)) == (1, "image", "the image is huge")
    assert [task.kind for task in decoder.tasks] == ["check", "check"]


async def test_a_few_words_are_tokenised_at_once_and_more_of_them_in_a_thread(
    preprocessor: Preprocessor, words: Words
) -> None:
    assert await tokenized(preprocessor, Item(0, "ab"), Item(1, "abc")) == ([(2,), (3,)], None)
    assert words.thread == threading.current_thread().name
    long = Item(0, "x" * (SHORT_TEXT_CHARS + 1))
    assert await tokenized(preprocessor, long) == ([(SHORT_TEXT_CHARS + 1,)], None)
    assert words.thread.startswith("tokenise")


async def test_texts_that_nobody_waits_for_are_not_tokenised(preprocessor: Preprocessor, words: Words) -> None:
    texts = [Item(row, "x" * MOST_CHARS) for row in range(50 * TEXT_CHUNK_CHARS // MOST_CHARS)]
    tokenising = asyncio.create_task(tokenized(preprocessor, *texts))
    await until(lambda: words.texts > 0)
    tokenising.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tokenising
    await tokenized(preprocessor, Item(0, "x" * MOST_CHARS))  # waits for the thread
    assert words.texts < len(texts)


async def test_the_first_bad_text_is_returned_with_its_row(preprocessor: Preprocessor) -> None:
    ids, bad = await tokenized(preprocessor, Item(3, "fine"), Item(5, "invalid"), Item(6, "invalid"))
    assert ids == [(4,)]
    assert isinstance(bad, RowError)
    assert (bad.row, bad.column) == (5, "text")
    _, bad = await tokenized(preprocessor, Item(7, "x" * (MOST_CHARS + 1)))
    assert isinstance(bad, TextTooLong)
    assert "Row 7, column text: the text has 2,001 characters, at most 2,000 are allowed." in str(bad)


async def test_a_picture_has_the_key_by_which_equal_ones_are_found(preprocessor: Preprocessor) -> None:
    flow = preprocessor.flow()
    keys = [
        (await preprocessor.pixels(Item(0, data), EmbedOptions(), flow, TIMINGS))[1] for data in (b"ab", b"a", b"ba")
    ]
    assert keys[0] == keys[1] != keys[2]
    with pytest.raises(RowError, match="damaged"):
        await grey(preprocessor, Item(4, b"broken"))


async def test_an_item_has_its_own_frame_or_the_requests(preprocessor: Preprocessor) -> None:
    request = EmbedOptions(Preprocessing(rendering=Rendering(frame=1)))
    assert await grey(preprocessor, Item(0, b"abc"), request) == ord("b")
    assert await grey(preprocessor, Item(0, b"abc", frame=2), request) == ord("c")


async def test_a_damaged_image_above_a_bad_row_is_named_instead_of_it(preprocessor: Preprocessor) -> None:
    known = RowError(3, "image", ImageDecodeError("known"))

    async def first(*data: bytes) -> BadRow:
        items = [Item(row, image) for row, image in enumerate(data)]
        return await preprocessor.first_bad_row(known, items, EmbedOptions(), preprocessor.flow(), TIMINGS)

    bad = await first(b"a", b"broken", b"broken", b"")
    assert (bad.row, str(bad)) == (1, "the image is damaged")
    assert await first(b"a", b"b", b"c", b"broken") is known


def frames_of(preprocessor: Preprocessor, *images: bytes, most: int = 9) -> AbstractAsyncContextManager[list[Item]]:
    items = [Item(4 * row, image) for row, image in enumerate(images)]
    return preprocessor.every_frame(items, AS_STORED, max_frames=most, timings=TIMINGS, bad_rows=BadRows())


async def test_every_frame_becomes_an_item_until_there_are_too_many(
    preprocessor: Preprocessor, decoder: NotingDecoder
) -> None:
    async with frames_of(preprocessor, b"ab", b"c", most=3) as items:
        assert [(item.row, item.frame) for item in items] == [(0, 0), (0, 1), (4, 0)]
    with pytest.raises(TooManyRows, match="have 3 frames, at most 2 are allowed"):
        async with frames_of(preprocessor, b"ab", b"c", most=2):
            pass
    assert decoder.kept is None


async def test_a_file_is_opened_once_for_all_its_frames(preprocessor: Preprocessor, decoder: NotingDecoder) -> None:
    async with frames_of(preprocessor, b"abcde") as items:
        assert await first_bad_header(preprocessor, *items) is None  # they are read already
        assert [await grey(preprocessor, item) for item in items] == list(b"abcde")
        assert decoder.opened == [b"abcde"]
        assert decoder.kept is None  # since the last frame


async def test_a_file_is_closed_when_its_request_ends_early(preprocessor: Preprocessor, decoder: NotingDecoder) -> None:
    with pytest.raises(RowError, match="damaged"):
        async with frames_of(preprocessor, b"broken") as items:
            await grey(preprocessor, items[0])
    assert decoder.kept is None
    with pytest.raises(RowError, match="huge"):
        async with frames_of(preprocessor, b"ab", b"huge"):
            pass
    assert decoder.kept is None


async def test_the_frames_of_a_file_have_a_limit_together(preprocessor: Preprocessor) -> None:
    async with frames_of(preprocessor, b"wide") as items:
        for item in items[:2]:
            await grey(preprocessor, item)
        with pytest.raises(RowError, match="the frames of the image have together more than"):
            await grey(preprocessor, items[2])


async def test_as_many_requests_as_decoders_have_inflated_files(preprocessor: Preprocessor) -> None:
    async def count(data: bytes) -> int:
        async with frames_of(preprocessor, data) as items:
            return len(items)

    async with frames_of(preprocessor, b"za"):
        waiting = asyncio.create_task(count(b"zbc"))
        assert await count(b"plain") == 5  # a file that does not inflate does not wait
        await asyncio.sleep(0.05)
        assert not waiting.done()
    assert await waiting == 3


async def test_a_picture_is_shown_with_the_options_of_its_request(
    preprocessor: Preprocessor, decoder: NotingDecoder
) -> None:
    wanted = Preprocessing(Standardization(size=16), Rendering(frame=1))
    assert await preprocessor.render(Item(0, b"abc"), EmbedOptions(wanted), TIMINGS) == (b"bbb", 3)
    assert decoder.tasks == [Task("picture", 1000, wanted.rendering, wanted.standardization)]
    with pytest.raises(RowError, match="damaged"):
        await preprocessor.render(Item(0, b"broken"), EmbedOptions(wanted), TIMINGS)


async def test_a_url_that_nothing_fetches_is_not_allowed(preprocessor: Preprocessor) -> None:
    item = Item(2, "https://example.org/a.png")
    bad = await first_bad_header(preprocessor, item)
    assert isinstance(bad, RowError)
    assert isinstance(bad.cause, UrlNotAllowed)
    with pytest.raises(RowError, match="fetching is off"):
        await preprocessor.render(item, EmbedOptions(), TIMINGS)
    with pytest.raises(RowError, match="fetching is off"):
        async with preprocessor.every_frame([item], AS_STORED, max_frames=9, timings=TIMINGS, bad_rows=BadRows()):
            pass
