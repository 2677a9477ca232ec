"""Preprocessing of items in a bounded thread pool: base64, headers, pictures and tokens.

The first bad row of a request is found and named here.
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

SHORT_TEXT_CHARS = 500  # Tokenising so few characters takes less time than waking a thread.


class PreprocessingEngine(Protocol):
    """The part of `model.engine.EmbeddingEngine` that preprocessing needs."""

    def check_image(self, data: bytes, rendering: Rendering) -> None: ...
    def frame_count(self, data: bytes, rendering: Rendering) -> int: ...
    def preprocess_image(
        self, data: bytes, standardization: Standardization | None, rendering: Rendering
    ) -> Pixels: ...
    def tokenize(self, text: str) -> TokenIds: ...


@dataclass(frozen=True)
class Item:
    """One image or one text of a request.

    Args:
        row: number of the row that holds the item.
        payload: bytes or base64 of an image, or a text.
        frame: frame of the image; None takes the frame of the request's rendering.
    """

    row: int
    payload: bytes | str
    frame: int | None = None


@dataclass(frozen=True)
class EmbedOptions:
    """How a request's images are preprocessed and its vectors are returned.

    Args:
        standardization: the endpoint's first step; None skips it.
        rendering: which picture of a file is used, and its window.
        normalize: True returns vectors of unit L2 norm, False the projections as they are.
    """

    standardization: Standardization | None = None
    rendering: Rendering = AS_STORED
    normalize: bool = True

    def rendering_of(self, item: Item) -> Rendering:
        return self.rendering if item.frame is None else replace(self.rendering, frame=item.frame)


class Preprocessor:
    """Converts items to what the device takes. Its threads do nothing else."""

    def __init__(self, engine: PreprocessingEngine, *, threads: int, max_text_chars: int) -> None:
        self._engine, self._max_text_chars = engine, max_text_chars
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def every_frame(
        self, images: Sequence[Item], rendering: Rendering, *, max_frames: int, timings: StageTimings
    ) -> list[Item]:
        """One item per frame of each image, in their order.

        Raises:
            RowError: the first image whose header cannot be read.
            TooManyRows: more than `max_frames` frames in total.
        """
        total = 0

        def frames(item: Item) -> list[Item]:
            nonlocal total
            data = _image_bytes(item)
            count = self._engine.frame_count(data, rendering)
            total += count
            if total > max_frames:
                return []
            return [Item(item.row, data, frame) for frame in range(count)]

        found, bad_row = await self._each(images, "image", frames, timings)
        if bad_row is not None:
            raise bad_row
        if total > max_frames:
            raise TooManyRows(
                f"The images have {total:,} frames, at most {max_frames} are allowed; choose one with params.frame."
            )
        return [item for items in found for item in items]

    async def unpack(
        self, images: Sequence[Item], options: EmbedOptions, timings: StageTimings
    ) -> tuple[list[bytes], BadRow | None]:
        """Bytes of each image, and the first bad row.

        Headers of several images are all read before any picture is decoded.
        """

        def unpack(item: Item) -> bytes:
            data = _image_bytes(item)
            if len(images) > 1:
                self._engine.check_image(data, options.rendering_of(item))
            return data

        return await self._each(images, "image", unpack, timings)

    async def tokenize(self, texts: Sequence[Item], timings: StageTimings) -> tuple[list[TokenIds], BadRow | None]:
        """Token ids of each text, and the first bad row. Short texts are tokenised on the event loop."""

        def tokenize(item: Item) -> TokenIds:
            text = str(item.payload)
            if len(text) > self._max_text_chars:
                raise TextTooLong(
                    f"Row {item.row}, column text: the text has {len(text):,} characters, "
                    f"at most {self._max_text_chars:,} are allowed.",
                    row=item.row,
                    column="text",
                )
            return self._engine.tokenize(text)

        is_short = sum(len(str(item.payload)) for item in texts) <= SHORT_TEXT_CHARS
        return await self._each(texts, "text", tokenize, timings, in_pool=not is_short)

    async def pixels(self, item: Item, data: bytes, options: EmbedOptions) -> tuple[Pixels, bytes]:
        """The encoder's input (H, W, 3) for one image, and its hash, by which equal images are deduplicated.

        Raises:
            RowError: the image cannot be decoded.
        """

        def decode() -> tuple[Pixels, bytes]:
            pixels = self._preprocess(item, data, options)
            return pixels, hashlib.blake2b(pixels.data).digest()

        try:
            return await in_thread(self._pool, decode)
        except InvalidInput as error:
            raise RowError(item.row, "image", error) from error

    async def first_bad_row(
        self, bad_row: BadRow, images: Sequence[Item], data: Sequence[bytes], options: EmbedOptions
    ) -> BadRow:
        """The first image before `bad_row` that cannot be decoded, otherwise `bad_row`."""
        for item, image in zip(images, data, strict=False):
            if item.row >= row_of(bad_row):
                break
            try:
                await in_thread(self._pool, partial(self._preprocess, item, image, options))
            except InvalidInput as error:
                return RowError(item.row, "image", error)
        return bad_row

    def _preprocess(self, item: Item, data: bytes, options: EmbedOptions) -> Pixels:
        return self._engine.preprocess_image(data, options.standardization, options.rendering_of(item))

    async def _each(
        self,
        items: Sequence[Item],
        column: str,
        function: Callable[[Item], Value],
        timings: StageTimings,
        *,
        in_pool: bool = True,
    ) -> tuple[list[Value], BadRow | None]:
        """Apply a function to the items up to the first bad row, which is returned as well.

        With `in_pool` all calls run in one thread of the pool, otherwise on the event loop.
        """

        def apply() -> tuple[list[Value], BadRow | None]:
            timings.mark_end_once("wait")
            results: list[Value] = []
            for item in items:
                try:
                    results.append(function(item))
                except InvalidInput as error:
                    return results, RowError(item.row, column, error)
                except TextTooLong as error:
                    return results, error
            return results, None

        if not items:
            return [], None
        return await in_thread(self._pool, apply) if in_pool else apply()


def _image_bytes(item: Item) -> bytes:
    return item.payload if isinstance(item.payload, bytes) else decode_base64(item.payload)


def row_of(bad_row: BadRow) -> int:
    return bad_row.row or 0
