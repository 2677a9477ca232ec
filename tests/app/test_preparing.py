"""What is done of a request before the device, with an engine that only notes what it is asked."""

import base64
import threading

import numpy as np
import pytest

from app.errors import RowError, TextTooLong, TooManyRows
from app.preparing import QUICK_CHARS, Pixels, Preparation, Preparer, Side, TokenIds
from app.timeline import Timeline
from model.errors import ImageDecodeError, ImageTooLarge, TextInvalid
from model.preprocessing import Standardization
from model.rendering import AS_STORED, Rendering

MOST_CHARS = 4 * QUICK_CHARS


class NotingEngine:
    """Images are their own bytes; `huge` is too large by its header, `broken` behind it."""

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
def preparer(engine: NotingEngine) -> Preparer:
    return Preparer(engine, threads=2, max_text_chars=MOST_CHARS)


async def test_base64_is_undone_and_the_headers_of_several_images_are_read(
    preparer: Preparer, engine: NotingEngine
) -> None:
    one = Side(0, base64.b64encode(b"one").decode())
    assert await preparer.unpack([one], Preparation(), Timeline()) == ([b"one"], None)
    assert engine.checked == []  # decoding it reads its header soon enough
    data, bad = await preparer.unpack([one, Side(1, b"huge"), Side(2, b"two")], Preparation(), Timeline())
    assert (data, engine.checked) == ([b"one"], [b"one", b"huge"])
    assert isinstance(bad, RowError)
    assert (bad.row, bad.column, str(bad)) == (1, "image", "the image is huge")
    assert engine.decoded == []


async def test_a_few_words_are_tokenised_at_once_and_more_of_them_in_a_thread(
    preparer: Preparer, engine: NotingEngine
) -> None:
    assert await preparer.tokenize([Side(0, "ab"), Side(1, "abc")], Timeline()) == ([(2,), (3,)], None)
    assert engine.thread == threading.current_thread().name
    assert await preparer.tokenize([Side(0, "x" * (QUICK_CHARS + 1))], Timeline()) == ([(QUICK_CHARS + 1,)], None)
    assert engine.thread.startswith("decode")


async def test_the_first_bad_text_is_returned_with_its_row(preparer: Preparer) -> None:
    _, bad = await preparer.tokenize([Side(3, "fine"), Side(5, "invalid"), Side(6, "invalid")], Timeline())
    assert isinstance(bad, RowError)
    assert (bad.row, bad.column) == (5, "text")
    _, bad = await preparer.tokenize([Side(7, "x" * (MOST_CHARS + 1))], Timeline())
    assert isinstance(bad, TextTooLong)
    assert "Row 7, column text: 2,001 characters; at most 2,000 are allowed." in str(bad)


async def test_equal_pictures_have_equal_keys(preparer: Preparer) -> None:
    keys = [(await preparer.pixels(Side(0, data), data, Preparation()))[1] for data in (b"ab", b"ab", b"ba")]
    assert keys[0] == keys[1] != keys[2]
    with pytest.raises(RowError, match="damaged"):
        await preparer.pixels(Side(4, b"broken"), b"broken", Preparation())


async def test_a_side_has_its_own_frame_or_the_requests(preparer: Preparer, engine: NotingEngine) -> None:
    request = Preparation(rendering=Rendering(frame=1))
    for side in (Side(0, b"a"), Side(0, b"a", frame=7)):
        await preparer.pixels(side, b"a", request)
    assert engine.decoded == [(b"a", 1), (b"a", 7)]


async def test_a_damaged_image_above_a_bad_row_is_named_instead_of_it(preparer: Preparer) -> None:
    sides, known = [Side(row, b"") for row in range(4)], RowError(3, "image", ImageDecodeError("known"))
    first = await preparer.first_bad_row(known, sides, [b"a", b"broken", b"broken"], Preparation())
    assert (first.row, str(first)) == (1, "the image is damaged")
    assert await preparer.first_bad_row(known, sides, [b"a", b"b", b"c", b"broken"], Preparation()) is known


async def test_every_frame_is_a_side_until_there_are_too_many(preparer: Preparer) -> None:
    images = [Side(0, b"ab"), Side(4, b"c")]
    sides = await preparer.every_frame(images, AS_STORED, most=3, timeline=Timeline())
    assert [(side.row, side.frame) for side in sides] == [(0, 0), (0, 1), (4, 0)]
    with pytest.raises(TooManyRows, match="have 3 frames, at most 2 are allowed"):
        await preparer.every_frame(images, AS_STORED, most=2, timeline=Timeline())
