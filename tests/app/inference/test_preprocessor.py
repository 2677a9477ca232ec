"""Preprocessing, with an engine that records its calls."""

import base64
import threading

import numpy as np
import pytest

from app.errors import RowError, TextTooLong, TooManyRows
from app.inference.preprocessor import SHORT_TEXT_CHARS, EmbedOptions, Item, Pixels, Preprocessor, TokenIds
from app.telemetry.stage_timings import StageTimings
from model.errors import ImageDecodeError, ImageTooLarge, TextInvalid
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import AS_STORED, Rendering

MOST_CHARS = 4 * SHORT_TEXT_CHARS


class NotingEngine:
    """An engine whose images are bytes: `huge` has too large a header, `broken` is damaged behind its header."""

    def __init__(self) -> None:
        self.checked: list[bytes] = []
        self.decoded: list[tuple[bytes, int | None]] = []
        self.thread = ""

    def check_image(self, data: bytes, rendering: Rendering) -> None:
        self.checked.append(data)
        if data == b"huge":
            raise ImageTooLarge("the image is huge")

    def frame_count(self, data: bytes, rendering: Rendering) -> int:
        return len(data)

    def preprocess_image(self, data: bytes, standardization: Standardization | None, rendering: Rendering) -> Pixels:
        self.decoded.append((data, rendering.frame))
        if data == b"broken":
            raise ImageDecodeError("the image is damaged")
        return np.frombuffer(data, dtype=np.uint8)

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
    assert engine.checked == []  # decoding it reads its header soon enough
    data, bad = await preprocessor.unpack([one, Item(1, b"huge"), Item(2, b"two")], EmbedOptions(), StageTimings())
    assert (data, engine.checked) == ([b"one"], [b"one", b"huge"])
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
    for item in (Item(0, b"a"), Item(0, b"a", frame=7)):
        await preprocessor.pixels(item, b"a", request)
    assert engine.decoded == [(b"a", 1), (b"a", 7)]


async def test_a_damaged_image_above_a_bad_row_is_named_instead_of_it(preprocessor: Preprocessor) -> None:
    items, known = [Item(row, b"") for row in range(4)], RowError(3, "image", ImageDecodeError("known"))
    first = await preprocessor.first_bad_row(known, items, [b"a", b"broken", b"broken"], EmbedOptions())
    assert (first.row, str(first)) == (1, "the image is damaged")
    assert await preprocessor.first_bad_row(known, items, [b"a", b"b", b"c", b"broken"], EmbedOptions()) is known


async def test_every_frame_becomes_an_item_until_there_are_too_many(preprocessor: Preprocessor) -> None:
    images = [Item(0, b"ab"), Item(4, b"c")]
    items = await preprocessor.every_frame(images, AS_STORED, max_frames=3, timings=StageTimings())
    assert [(item.row, item.frame) for item in items] == [(0, 0), (0, 1), (4, 0)]
    with pytest.raises(TooManyRows, match="have 3 frames, at most 2 are allowed"):
        await preprocessor.every_frame(images, AS_STORED, max_frames=2, timings=StageTimings())
