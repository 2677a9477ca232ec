"""Preprocessing of items in a bounded thread pool: base64, headers, pictures and tokens; and pictures to look at.

The first bad row of a request is found and named here.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import RowError, TextTooLong, TooManyRows, UrlNotAllowed
from app.inference.device_executor import Value, in_thread
from app.inference.items import EmbedOptions, Item
from app.telemetry.stage_timings import StageTimings
from model.errors import InvalidInput
from model.imaging.base64_images import decode_base64, is_url
from model.imaging.formats import ImageFile, PictureSource
from model.imaging.framed_file import FramedFile
from model.imaging.preprocessing import Standardization
from model.imaging.rendered_png import encode_png
from model.imaging.rendering import Rendering

Pixels = NDArray[np.uint8]
TokenIds = tuple[int, ...]
BadRow = RowError | TextTooLong

SHORT_TEXT_CHARS = 500  # Tokenising so few characters takes less time than waking a thread.


class PreprocessingEngine(Protocol):
    """The part of `model.engine.EmbeddingEngine` that preprocessing needs."""

    def open_image(self, data: bytes) -> ImageFile: ...
    def preprocess_image(
        self, image: bytes | PictureSource, standardization: Standardization | None, rendering: Rendering
    ) -> Pixels: ...
    def tokenize(self, text: str) -> TokenIds: ...


class Preprocessor:
    """Converts items to what the device takes. Its threads do nothing else."""

    def __init__(self, engine: PreprocessingEngine, *, threads: int, max_text_chars: int) -> None:
        self._engine, self._max_text_chars = engine, max_text_chars
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._requests_with_inflated_files = asyncio.Semaphore(threads)

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def every_frame(
        self, images: Sequence[Item], rendering: Rendering, *, max_frames: int, timings: StageTimings
    ) -> AsyncIterator[list[Item]]:
        """One item per frame of each image, in their order; its files are closed when the `with` block ends.

        The first file stays open from here. The others are opened again for their first frames, because together they
        may need more memory than there is. For the same reason, only as many requests as threads have files that
        inflate, such as compressed volumes, open at once; the others wait here.

        Raises:
            RowError: the first image whose header cannot be read.
            TooManyRows: more than `max_frames` frames in total.
        """
        files: list[FramedFile] = []
        total = 0

        def frames(item: Item) -> list[Item]:
            nonlocal total
            data = _image_bytes(item)
            file = FramedFile(data, self._engine.open_image)
            count = file.count_frames(rendering, keep_open=not files)
            files.append(file)
            total += count
            return [Item(item.row, data, frame, file) for frame in range(count)] if total <= max_frames else []

        try:
            found, bad_row = await self._each(images, "image", frames, timings)
            if bad_row is not None:
                raise bad_row
            if total > max_frames:
                raise TooManyRows(
                    f"The images have {total:,} frames, at most {max_frames} are allowed; choose one with params.frame."
                )
            inflate = any(file.inflates for file in files)
            async with self._requests_with_inflated_files if inflate else nullcontext():
                yield [item for items in found for item in items]
        finally:
            for file in files:
                file.close()

    async def unpack(
        self, images: Sequence[Item], options: EmbedOptions, timings: StageTimings
    ) -> tuple[list[bytes], BadRow | None]:
        """Bytes of each image, and the first bad row.

        Headers of several images are all read before any picture is decoded.
        """

        def unpack(item: Item) -> bytes:
            data = _image_bytes(item)
            if len(images) > 1 and item.file is None:  # `every_frame` has read the headers of the others
                self._engine.open_image(data).check(options.rendering_of(item))
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

        return await self._in_pool(item, decode)

    async def render(self, item: Item, options: EmbedOptions, timings: StageTimings) -> tuple[bytes, int]:
        """A PNG file of what the encoder gets of one image before its resize, and the image's number of frames.

        Raises:
            RowError: the image cannot be decoded.
        """

        def render() -> tuple[bytes, int]:
            timings.mark_end_once("wait")
            file = self._engine.open_image(_image_bytes(item))
            frame_count = file.frame_count(options.rendering)
            timings.mark_end("decode")
            png = encode_png(file.decode(options.rendering), options.standardization)
            timings.mark_end("preprocess")
            return png, frame_count

        return await self._in_pool(item, render)

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
                return _row_error(item, "image", error)
        return bad_row

    def _preprocess(self, item: Item, data: bytes, options: EmbedOptions) -> Pixels:
        source = data if item.file is None else item.file
        return self._engine.preprocess_image(source, options.standardization, options.rendering_of(item))

    async def _in_pool(self, item: Item, function: Callable[[], Value]) -> Value:
        """Run a function on an image in the pool. Raises RowError if it raises InvalidInput."""
        try:
            return await in_thread(self._pool, function)
        except InvalidInput as error:
            raise _row_error(item, "image", error) from None

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
                    return results, _row_error(item, column, error)
                except TextTooLong as error:
                    return results, error
            return results, None

        if not items:
            return [], None
        return await in_thread(self._pool, apply) if in_pool else apply()


def _row_error(item: Item, column: str, error: InvalidInput) -> RowError:
    """The error of an item, without tracebacks: their frames would keep the opened file in memory."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return RowError(item.row, column, error)


def _image_bytes(item: Item) -> bytes:
    """The bytes of an image. A URL is still one only if the service fetches none."""
    if isinstance(item.payload, bytes):
        return item.payload
    if is_url(item.payload):
        raise UrlNotAllowed("the image is a URL and fetching is off (the operator can set URL_ALLOWLIST); send base64")
    return decode_base64(item.payload)


def row_of(bad_row: BadRow) -> int:
    return bad_row.row or 0
