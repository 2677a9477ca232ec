"""What comes before the device: base64 undone, headers read, pictures decoded, texts tokenised, in a bounded pool.

The first bad row of a request is found here, and named.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import RowError, TextTooLong, TooManyRows
from app.threads import Value, in_thread
from app.timeline import Timeline
from model.errors import InvalidInput
from model.images import decode_base64
from model.preprocessing import Standardization
from model.rendering import AS_STORED, Rendering

Pixels = NDArray[np.uint8]
TokenIds = tuple[int, ...]
BadRow = RowError | TextTooLong

QUICK_CHARS = 500  # are tokenised in less time than it takes to wake a thread and to be woken by it


class Preprocessor(Protocol):
    """What the preparation needs of `model.engine.EmbeddingEngine`."""

    def check_image(self, data: bytes, rendering: Rendering) -> None: ...
    def frame_count(self, data: bytes, rendering: Rendering) -> int: ...
    def preprocess_image(
        self, data: bytes, standardization: Standardization | None, rendering: Rendering
    ) -> Pixels: ...
    def tokenize(self, text: str) -> TokenIds: ...


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


class Preparer:
    """Makes of a request's sides what the device takes; its threads decode nothing else."""

    def __init__(self, engine: Preprocessor, *, threads: int, max_text_chars: int) -> None:
        self._engine, self._max_text_chars = engine, max_text_chars
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

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
            count = self._engine.frame_count(data, rendering)
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

    async def unpack(
        self, images: Sequence[Side], preparation: Preparation, timeline: Timeline
    ) -> tuple[list[bytes], BadRow | None]:
        """Undo base64 and, when there are several images, read all headers before any pixel is decoded."""

        def unpack(side: Side) -> bytes:
            data = _bytes_of(side)
            if len(images) > 1:
                self._engine.check_image(data, preparation.rendering_of(side))
            return data

        return await self._each(images, "image", unpack, timeline)

    async def tokenize(self, texts: Sequence[Side], timeline: Timeline) -> tuple[list[TokenIds], BadRow | None]:
        """Token ids of each text; a few words take no thread."""

        def tokenize(side: Side) -> TokenIds:
            text = str(side.value)
            most = self._max_text_chars
            if len(text) > most:
                raise TextTooLong(
                    f"Row {side.row}, column text: {len(text):,} characters; at most {most:,} are allowed.",
                    row=side.row,
                    column="text",
                )
            return self._engine.tokenize(text)

        is_quick = sum(len(str(side.value)) for side in texts) <= QUICK_CHARS
        return await self._each(texts, "text", tokenize, timeline, aside=not is_quick)

    async def pixels(self, side: Side, data: bytes, preparation: Preparation) -> tuple[Pixels, bytes]:
        """One picture, and the key that it shares with its equals.

        Raises:
            RowError: it cannot be decoded.
        """

        def decode() -> tuple[Pixels, bytes]:
            pixels = self._preprocessed(side, data, preparation)
            return pixels, hashlib.blake2b(pixels.data).digest()

        try:
            return await in_thread(self._pool, decode)
        except InvalidInput as error:
            raise RowError(side.row, "image", error) from error

    async def first_bad_row(
        self, known: BadRow, images: Sequence[Side], data: Sequence[bytes], preparation: Preparation
    ) -> BadRow:
        """The first damaged image above a row that is known to be bad, or that row."""
        for side, image in zip(images, data, strict=False):
            if side.row >= row_of(known):
                break
            try:
                await in_thread(self._pool, partial(self._preprocessed, side, image, preparation))
            except InvalidInput as error:
                return RowError(side.row, "image", error)
        return known

    def _preprocessed(self, side: Side, data: bytes, preparation: Preparation) -> Pixels:
        return self._engine.preprocess_image(data, preparation.standardization, preparation.rendering_of(side))

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
        return await in_thread(self._pool, apply) if aside else apply()


def _bytes_of(side: Side) -> bytes:
    return side.value if isinstance(side.value, bytes) else decode_base64(side.value)


def row_of(bad: BadRow) -> int:
    return bad.row or 0
