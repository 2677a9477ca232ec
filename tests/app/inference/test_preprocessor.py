"""Preprocessing, with an engine that records its calls."""

import asyncio
import base64
import collections
import io
import threading
import weakref
from contextlib import AbstractAsyncContextManager

import numpy as np
import pytest
from PIL import Image

from app.errors import RowError, TextTooLong, TooManyRows, UrlNotAllowed
from app.inference.items import EmbedOptions, Item
from app.inference.preprocessor import SHORT_TEXT_CHARS, Pixels, Preprocessor, TokenIds
from app.telemetry.stage_timings import StageTimings
from model.errors import ImageDecodeError, ImageTooLarge, TextInvalid
from model.imaging.formats import PictureSource
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import AS_STORED, Rendering

MOST_CHARS = 4 * SHORT_TEXT_CHARS


class NotedFile:
    """An image file of one frame for each of its bytes; a frame is a grey picture of one pixel.

    A file that begins with "z" is compressed.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.inflates = data, data.startswith(b"z")

    def frame_count(self, rendering: Rendering) -> int:
        return len(self.data)

    def check(self, rendering: Rendering) -> None:
        if (rendering.frame or 0) >= len(self.data):
            raise ImageDecodeError("there is no such frame")

    def decode(self, rendering: Rendering) -> Image.Image:
        self.check(rendering)
        if self.data == b"broken":
            raise ImageDecodeError("the image is damaged")
        return Image.new("L", (1, 1), self.data[rendering.frame or 0])


class NotingEngine:
    """An engine whose images are bytes: `huge` has too large a header, `broken` is damaged behind its header."""

    def __init__(self) -> None:
        self.opened: list[bytes] = []
        self.files: list[weakref.ref[NotedFile]] = []
        self.decoded: list[int | None] = []
        self.thread = ""

    @property
    def in_memory(self) -> list[bytes]:
        """The files that were opened and not dropped yet."""
        return [file.data for file in (reference() for reference in self.files) if file is not None]

    def open_image(self, data: bytes) -> NotedFile:
        self.opened.append(data)
        if data == b"huge":
            raise ImageTooLarge("the image is huge")
        file = NotedFile(data)
        self.files.append(weakref.ref(file))
        return file

    def preprocess_image(
        self, image: bytes | PictureSource, standardization: Standardization | None, rendering: Rendering
    ) -> Pixels:
        file = self.open_image(image) if isinstance(image, bytes) else image
        self.decoded.append(rendering.frame)
        return np.asarray(file.decode(rendering))

    def tokenize(self, text: str) -> TokenIds:
        self.thread = threading.current_thread().name
        if text == "invalid":
            raise TextInvalid("the text is invalid")
        return (len(text),)


@pytest.fixture
def engine() -> NotingEngine:
    return NotingEngine()


@pytest.fixture
def preprocessor(engine: NotingEngine) -> Preprocessor:
    return Preprocessor(engine, threads=2, max_text_chars=MOST_CHARS)


async def test_base64_is_decoded_and_the_headers_of_several_images_are_read(
    preprocessor: Preprocessor, engine: NotingEngine
) -> None:
    one = Item(0, base64.b64encode(b"one").decode())
    assert await preprocessor.unpack([one], EmbedOptions(), StageTimings()) == ([b"one"], None)
    assert engine.opened == []  # decoding it reads its header soon enough
    data, bad = await preprocessor.unpack([one, Item(1, b"huge"), Item(2, b"two")], EmbedOptions(), StageTimings())
    assert (data, engine.opened) == ([b"one"], [b"one", b"huge"])
    assert isinstance(bad, RowError)
    assert (bad.row, bad.column, str(bad)) == (1, "image", "the image is huge")
    assert engine.decoded == []


async def test_a_few_words_are_tokenised_at_once_and_more_of_them_in_a_thread(
    preprocessor: Preprocessor, engine: NotingEngine
) -> None:
    assert await preprocessor.tokenize([Item(0, "ab"), Item(1, "abc")], StageTimings()) == ([(2,), (3,)], None)
    assert engine.thread == threading.current_thread().name
    assert await preprocessor.tokenize([Item(0, "x" * (SHORT_TEXT_CHARS + 1))], StageTimings()) == (
        [(SHORT_TEXT_CHARS + 1,)],
        None,
    )
    assert engine.thread.startswith("decode")


async def test_the_first_bad_text_is_returned_with_its_row(preprocessor: Preprocessor) -> None:
    _, bad = await preprocessor.tokenize([Item(3, "fine"), Item(5, "invalid"), Item(6, "invalid")], StageTimings())
    assert isinstance(bad, RowError)
    assert (bad.row, bad.column) == (5, "text")
    _, bad = await preprocessor.tokenize([Item(7, "x" * (MOST_CHARS + 1))], StageTimings())
    assert isinstance(bad, TextTooLong)
    assert "Row 7, column text: the text has 2,001 characters, at most 2,000 are allowed." in str(bad)


async def test_equal_pictures_have_equal_keys(preprocessor: Preprocessor) -> None:
    keys = [(await preprocessor.pixels(Item(0, data), data, EmbedOptions()))[1] for data in (b"ab", b"ab", b"ba")]
    assert keys[0] == keys[1] != keys[2]
    with pytest.raises(RowError, match="damaged"):
        await preprocessor.pixels(Item(4, b"broken"), b"broken", EmbedOptions())


async def test_an_item_has_its_own_frame_or_the_requests(preprocessor: Preprocessor, engine: NotingEngine) -> None:
    request = EmbedOptions(rendering=Rendering(frame=1))
    for item in (Item(0, b"abc"), Item(0, b"abc", frame=2)):
        await preprocessor.pixels(item, b"abc", request)
    assert engine.decoded == [1, 2]


async def test_a_damaged_image_above_a_bad_row_is_named_instead_of_it(preprocessor: Preprocessor) -> None:
    items, known = [Item(row, b"") for row in range(4)], RowError(3, "image", ImageDecodeError("known"))
    first = await preprocessor.first_bad_row(known, items, [b"a", b"broken", b"broken"], EmbedOptions())
    assert (first.row, str(first)) == (1, "the image is damaged")
    assert await preprocessor.first_bad_row(known, items, [b"a", b"b", b"c", b"broken"], EmbedOptions()) is known


async def test_every_frame_becomes_an_item_until_there_are_too_many(
    preprocessor: Preprocessor, engine: NotingEngine
) -> None:
    images = [Item(0, b"ab"), Item(4, b"c")]
    async with preprocessor.every_frame(images, AS_STORED, max_frames=3, timings=StageTimings()) as items:
        assert [(item.row, item.frame) for item in items] == [(0, 0), (0, 1), (4, 0)]
    with pytest.raises(TooManyRows, match="have 3 frames, at most 2 are allowed"):
        async with preprocessor.every_frame(images, AS_STORED, max_frames=2, timings=StageTimings()):
            pass
    assert engine.in_memory == []


async def decode_all(preprocessor: Preprocessor, items: list[Item]) -> list[int]:
    """The grey value of each item, decoded in their order."""
    data, bad = await preprocessor.unpack(items, EmbedOptions(), StageTimings())
    assert bad is None
    return [
        int((await preprocessor.pixels(item, bytes_of_it, EmbedOptions()))[0][0, 0])
        for item, bytes_of_it in zip(items, data, strict=True)
    ]


async def test_a_file_is_opened_once_for_all_its_frames(preprocessor: Preprocessor, engine: NotingEngine) -> None:
    images = [Item(0, base64.b64encode(b"abcde").decode())]
    async with preprocessor.every_frame(images, AS_STORED, max_frames=9, timings=StageTimings()) as items:
        assert await decode_all(preprocessor, items) == list(b"abcde")
    assert engine.opened == [b"abcde"]


async def test_a_file_is_dropped_after_its_last_frame(preprocessor: Preprocessor, engine: NotingEngine) -> None:
    images = [Item(0, b"abc"), Item(1, b"de"), Item(2, b"f")]
    async with preprocessor.every_frame(images, AS_STORED, max_frames=9, timings=StageTimings()) as items:
        assert engine.in_memory == [b"abc"]  # the others are opened when their turn comes
        await decode_all(preprocessor, items[:2])
        assert engine.in_memory == [b"abc"]
        await decode_all(preprocessor, items[2:4])
        assert engine.in_memory == [b"de"]
        await decode_all(preprocessor, items[4:])
        assert engine.in_memory == []
    assert collections.Counter(engine.opened) == {b"abc": 1, b"de": 2, b"f": 2}


async def test_a_file_is_dropped_when_its_request_ends_early(preprocessor: Preprocessor, engine: NotingEngine) -> None:
    with pytest.raises(RowError, match="damaged"):
        async with preprocessor.every_frame(
            [Item(0, b"broken")], AS_STORED, max_frames=9, timings=StageTimings()
        ) as items:
            await decode_all(preprocessor, items)
    assert engine.in_memory == []
    assert len(items) == 6  # although the items are still there
    with pytest.raises(RowError, match="huge"):
        async with preprocessor.every_frame(
            [Item(0, b"ab"), Item(1, b"huge")], AS_STORED, max_frames=9, timings=StageTimings()
        ):
            pass
    assert engine.in_memory == []


async def test_threads_that_decode_frames_of_one_file_share_it(engine: NotingEngine) -> None:
    preprocessor = Preprocessor(engine, threads=4, max_text_chars=MOST_CHARS)
    images = [Item(0, b"a"), Item(1, bytes(range(100)))]
    async with preprocessor.every_frame(images, AS_STORED, max_frames=101, timings=StageTimings()) as items:
        await asyncio.gather(*(decode_all(preprocessor, [item]) for item in items[1:]))
        assert engine.in_memory == [b"a"]
    assert collections.Counter(engine.opened) == {b"a": 1, bytes(range(100)): 2}


async def test_as_many_requests_as_threads_have_inflated_files_open(
    preprocessor: Preprocessor, engine: NotingEngine
) -> None:
    def every_frame(data: bytes) -> AbstractAsyncContextManager[list[Item]]:
        return preprocessor.every_frame([Item(0, data)], AS_STORED, max_frames=9, timings=StageTimings())

    async def count(data: bytes) -> int:
        async with every_frame(data) as items:
            return len(items)

    async with every_frame(b"za"):
        async with every_frame(b"zb"):
            waiting = asyncio.create_task(count(b"zcd"))
            assert await count(b"plain") == 5  # a file that does not inflate does not wait
            await asyncio.sleep(0.05)
            assert not waiting.done()
            assert engine.in_memory == []  # none is inflated before its turn
        assert await waiting == 3


async def test_a_picture_is_what_the_encoder_gets(preprocessor: Preprocessor) -> None:
    options = EmbedOptions(rendering=Rendering(frame=1))
    png, frame_count = await preprocessor.render(Item(0, b"abc"), options, StageTimings())
    picture = Image.open(io.BytesIO(png))
    assert (picture.mode, picture.getpixel((0, 0)), frame_count) == ("L", ord("b"), 3)
    options = EmbedOptions(Standardization(size=16), Rendering(frame=1))
    png, _ = await preprocessor.render(Item(0, b"abc"), options, StageTimings())
    assert (Image.open(io.BytesIO(png)).mode, Image.open(io.BytesIO(png)).size) == ("RGB", (16, 16))
    with pytest.raises(RowError, match="no such frame"):
        await preprocessor.render(Item(0, b"a"), options, StageTimings())


async def test_a_url_that_nothing_fetches_is_not_allowed(preprocessor: Preprocessor) -> None:
    item = Item(2, "https://example.org/a.png")
    _, bad = await preprocessor.unpack([item], EmbedOptions(), StageTimings())
    assert isinstance(bad, RowError)
    assert isinstance(bad.cause, UrlNotAllowed)
    with pytest.raises(RowError, match="fetching is off"):
        await preprocessor.render(item, EmbedOptions(), StageTimings())
    with pytest.raises(RowError, match="fetching is off"):
        async with preprocessor.every_frame([item], AS_STORED, max_frames=9, timings=StageTimings()):
            pass
