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
from app.inference.device_executor import Value, in_thread
from app.telemetry.stage_timings import StageTimings
from model.errors import InvalidInput
from model.imaging.base64_images import decode_base64
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import AS_STORED, Rendering

Pixels = NDArray[np.uint8]
TokenIds = tuple[int, ...]
BadRow = RowError | TextTooLong

QUICK_CHARS = 500  # are tokenised in less time than it takes to wake a thread and to be woken by it


class PreprocessingEngine(Protocol):
    """What the options needs of `model.engine.EmbeddingEngine`."""

    def check_image(self, data: bytes, rendering: Rendering) -> None: ...
    def frame_count(self, data: bytes, rendering: Rendering) -> int: ...
    def preprocess_image(
        self, data: bytes, standardization: Standardization | None, rendering: Rendering
    ) -> Pixels: ...
    def tokenize(self, text: str) -> TokenIds: ...


@dataclass(frozen=True)
class Item:
    """One image (bytes or base64) or one text, and the row that it stands in."""

    row: int
    value: bytes | str
    frame: int | None = None  # None leaves it to the request's rendering


@dataclass(frozen=True)
class EmbedOptions:
    """What becomes of a request's images before, and of its vectors behind, the encoders."""

    standardization: Standardization | None = None
    rendering: Rendering = AS_STORED
    normalize: bool = True

    def rendering_of(self, item: Item) -> Rendering:
        return self.rendering if item.frame is None else replace(self.rendering, frame=item.frame)


class Preprocessor:
    """Makes of a request's items what the device takes; its threads decode nothing else."""

    def __init__(self, engine: PreprocessingEngine, *, threads: int, max_text_chars: int) -> None:
        self._engine, self._max_text_chars = engine, max_text_chars
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def every_frame(
        self, images: Sequence[Item], rendering: Rendering, *, most: int, timings: StageTimings
    ) -> list[Item]:
        """One item a frame of each image, in their order.

        Raises:
            RowError: the first image whose header cannot be read.
            TooManyRows: more than `most` frames together.
        """
        total = 0

        def frames(item: Item) -> list[Item]:
            nonlocal total
            data = _bytes_of(item)
            count = self._engine.frame_count(data, rendering)
            total += count
            if total > most:
                return []
            return [Item(item.row, data, frame) for frame in range(count)]

        found, bad_row = await self._each(images, "image", frames, timings)
        if bad_row is not None:
            raise bad_row
        if total > most:
            raise TooManyRows(
                f"The images have {total:,} frames, at most {most} are allowed; pick them with params.frame."
            )
        return [item for items in found for item in items]

    async def unpack(
        self, images: Sequence[Item], options: EmbedOptions, timings: StageTimings
    ) -> tuple[list[bytes], BadRow | None]:
        """Undo base64 and, when there are several images, read all headers before any pixel is decoded."""

        def unpack(item: Item) -> bytes:
            data = _bytes_of(item)
            if len(images) > 1:
                self._engine.check_image(data, options.rendering_of(item))
            return data

        return await self._each(images, "image", unpack, timings)

    async def tokenize(self, texts: Sequence[Item], timings: StageTimings) -> tuple[list[TokenIds], BadRow | None]:
        """Token ids of each text; a few words take no thread."""

        def tokenize(item: Item) -> TokenIds:
            text = str(item.value)
            most = self._max_text_chars
            if len(text) > most:
                raise TextTooLong(
                    f"Row {item.row}, column text: {len(text):,} characters; at most {most:,} are allowed.",
                    row=item.row,
                    column="text",
                )
            return self._engine.tokenize(text)

        is_quick = sum(len(str(item.value)) for item in texts) <= QUICK_CHARS
        return await self._each(texts, "text", tokenize, timings, aside=not is_quick)

    async def pixels(self, item: Item, data: bytes, options: EmbedOptions) -> tuple[Pixels, bytes]:
        """One picture, and the key that it shares with its equals.

        Raises:
            RowError: it cannot be decoded.
        """

        def decode() -> tuple[Pixels, bytes]:
            pixels = self._preprocessed(item, data, options)
            return pixels, hashlib.blake2b(pixels.data).digest()

        try:
            return await in_thread(self._pool, decode)
        except InvalidInput as error:
            raise RowError(item.row, "image", error) from error

    async def first_bad_row(
        self, known: BadRow, images: Sequence[Item], data: Sequence[bytes], options: EmbedOptions
    ) -> BadRow:
        """The first damaged image above a row that is known to be bad, or that row."""
        for item, image in zip(images, data, strict=False):
            if item.row >= row_of(known):
                break
            try:
                await in_thread(self._pool, partial(self._preprocessed, item, image, options))
            except InvalidInput as error:
                return RowError(item.row, "image", error)
        return known

    def _preprocessed(self, item: Item, data: bytes, options: EmbedOptions) -> Pixels:
        return self._engine.preprocess_image(data, options.standardization, options.rendering_of(item))

    async def _each(
        self,
        items: Sequence[Item],
        column: str,
        function: Callable[[Item], Value],
        timings: StageTimings,
        *,
        aside: bool = True,
    ) -> tuple[list[Value], BadRow | None]:
        """Apply a function to all items, in one thread of the pool if `aside`.

        The first bad row ends it, and is returned too.
        """

        def apply() -> tuple[list[Value], BadRow | None]:
            timings.reached_first("wait")
            done: list[Value] = []
            for item in items:
                try:
                    done.append(function(item))
                except InvalidInput as error:
                    return done, RowError(item.row, column, error)
                except TextTooLong as error:
                    return done, error
            return done, None

        if not items:
            return [], None
        return await in_thread(self._pool, apply) if aside else apply()


def _bytes_of(item: Item) -> bytes:
    return item.value if isinstance(item.value, bytes) else decode_base64(item.value)


def row_of(bad: BadRow) -> int:
    return bad.row or 0
