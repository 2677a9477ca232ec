"""Preprocessing of items: images in the pool of decoders, texts in threads.

The bad rows of a request are found and named here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.decoding.decoder import Reply, Task
from app.decoding.framed_file import FramedFile
from app.decoding.pool import DecoderPool
from app.errors import RowError, TextOverContext, TextTooLong, TooManyRows, UrlNotAllowed
from app.fair_queueing import Flow
from app.inference.bad_rows import BadRow, BadRows, row_of
from app.inference.items import EmbedOptions, Item
from app.telemetry.stage_timings import StageTimings
from app.threads import in_thread
from model.errors import InvalidInput
from model.imaging.base64_images import is_url, url_refusal
from model.imaging.rendering import Rendering

Pixels = NDArray[np.uint8]
TokenIds = tuple[int, ...]
Tokenize = Callable[[str], tuple[TokenIds, int]]
"""Token ids of a text, cut to the context, and the number of tokens before the cut. Raises TextInvalid."""

SHORT_TEXT_CHARS = 500  # Tokenising so few characters takes less time than waking a thread.
TEXT_CHUNK_CHARS = 50_000  # of the texts that a thread tokenises before it looks whether they are still wanted


class TokenizedText(NamedTuple):
    """A text, its token ids, and whether they were cut to the context."""

    item: Item
    ids: TokenIds
    is_cut: bool


@dataclass(frozen=True)
class PreprocessingLimits:
    """Bounds and sizes.

    Args:
        image_size: height and width of the encoder's input in pixels.
        max_pixels: pixels of one picture, read from its header.
        max_text_chars: characters per text.
        text_threads: threads that tokenise.
    """

    image_size: tuple[int, int]
    max_pixels: int
    max_text_chars: int
    text_threads: int


class Preprocessor:
    """Converts items to what the device takes.

    Args:
        tokenize: converts a text to token ids, and counts them.
        decoders: decode the images.
        limits: bounds and sizes.
    """

    def __init__(self, tokenize: Tokenize, decoders: DecoderPool, limits: PreprocessingLimits) -> None:
        self._tokenize, self._decoders, self._limits = tokenize, decoders, limits
        self._threads = ThreadPoolExecutor(limits.text_threads, thread_name_prefix="tokenise")
        self._requests_with_inflated_files = asyncio.Semaphore(decoders.size)

    def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def flow(self) -> Flow:
        """The flow of a new request, which shares the decoders fairly with the other flows."""
        return self._decoders.flow()

    @asynccontextmanager
    async def every_frame(
        self,
        images: Sequence[Item],
        rendering: Rendering,
        *,
        max_frames: int,
        timings: StageTimings,
        bad_rows: BadRows,
    ) -> AsyncIterator[list[Item]]:
        """One item per frame of each image, in their order; its files are closed when the `with` block ends.

        Only as many requests as there are decoders have files that inflate, such as compressed volumes; the others
        wait here. Each decoder keeps one file open, and would otherwise inflate the same files again and again.

        Raises:
            RowError: the first image whose header cannot be read, if it refuses the request.
            TooManyRows: more than `max_frames` frames in total.
        """
        flow = self.flow()
        items: list[Item] = []
        files: list[FramedFile] = []
        total = 0
        try:
            for item in images:
                files.append(file := FramedFile())
                try:
                    counted = await self._decode(item, self._task("count", rendering), flow, timings, file)
                except RowError as error:
                    if not bad_rows.add(error):
                        raise
                    continue
                file.undecoded, file.inflates = counted.frame_count, counted.inflates
                total += counted.frame_count
                if total <= max_frames:
                    items += [Item(item.row, item.payload, frame, file) for frame in range(counted.frame_count)]
            if total > max_frames:
                raise TooManyRows(
                    f"The images have {total:,} frames, at most {max_frames} are allowed; choose one with params.frame."
                )
            inflate = any(file.inflates for file in files)
            async with self._requests_with_inflated_files if inflate else nullcontext():
                yield items
        finally:
            for file in files:
                self._decoders.forget(file)

    async def check_headers(
        self, images: Sequence[Item], options: EmbedOptions, flow: Flow, timings: StageTimings, bad_rows: BadRows
    ) -> None:
        """Find bad rows among several images, from their headers, before any picture is decoded.

        Decoding reads the header of an image soon enough if it is the only one, or if it can refuse no other.
        """
        decoding_is_enough = len(images) == 1 or bad_rows.answered
        for item in images:
            try:
                _require_data(item)
                if not decoding_is_enough and item.file is None:  # `every_frame` has read the headers of the others
                    await self._decode(item, self._task("check", options.rendering_of(item)), flow, timings)
            except RowError as error:
                if not bad_rows.add(error):
                    return

    async def tokenize(
        self, texts: Sequence[Item], options: EmbedOptions, timings: StageTimings, bad_rows: BadRows
    ) -> list[TokenizedText]:
        """The good texts as token ids, up to a bad one that refuses. Short texts are tokenised on the event loop."""
        tokenized: list[TokenizedText] = []

        def tokenize(chunk: Sequence[Item]) -> bool:
            timings.mark_end_once("wait")
            for item in chunk:
                try:
                    tokenized.append(self._tokenized(item, options))
                except (RowError, TextTooLong) as error:
                    if not bad_rows.add(error):
                        return False
            return True

        if sum(len(str(item.payload)) for item in texts) <= SHORT_TEXT_CHARS:
            tokenize(texts)
            return tokenized
        for chunk in _chunks(texts, TEXT_CHUNK_CHARS):
            if not await in_thread(self._threads, lambda chunk=chunk: tokenize(chunk)):  # type: ignore[misc]
                break
        return tokenized

    async def pixels(self, item: Item, options: EmbedOptions, flow: Flow, timings: StageTimings) -> tuple[Pixels, str]:
        """The encoder's input (H, W, 3) for one image, and its hash, by which equal images are deduplicated.

        Raises:
            RowError: the image cannot be decoded.
        """
        task = Task(
            "pixels",
            self._limits.max_pixels,
            options.rendering_of(item),
            options.preprocessing.standardization,
            self._limits.image_size,
        )
        reply = await self._decode(item, task, flow, timings, item.file)
        if item.file is not None:
            item.file.add_decoded(reply.picture_pixels)
            if item.file.undecoded <= 0:
                self._decoders.forget(item.file)
        pixels = np.frombuffer(reply.data, np.uint8).reshape((*self._limits.image_size, 3))
        return pixels, reply.digest

    async def render(self, item: Item, options: EmbedOptions, timings: StageTimings) -> tuple[bytes, int]:
        """A PNG file of what the encoder gets of one image before its resize, and the image's number of frames.

        Raises:
            RowError: the image cannot be decoded.
        """
        preprocessing = options.preprocessing
        task = Task("picture", self._limits.max_pixels, preprocessing.rendering, preprocessing.standardization)
        reply = await self._decode(item, task, self.flow(), timings)
        timings.mark_end("preprocess")
        return reply.data, reply.frame_count

    async def first_bad_row(
        self, bad_row: BadRow, images: Sequence[Item], options: EmbedOptions, flow: Flow, timings: StageTimings
    ) -> BadRow:
        """The first image before `bad_row` that cannot be decoded, otherwise `bad_row`."""
        for item in images:
            if item.row >= row_of(bad_row):
                break
            try:
                await self.pixels(item, options, flow, timings)
            except RowError as error:
                return error
        return bad_row

    def _task(self, kind: Literal["check", "count"], rendering: Rendering) -> Task:
        return Task(kind, self._limits.max_pixels, rendering)

    async def _decode(
        self, item: Item, task: Task, flow: Flow, timings: StageTimings, file: FramedFile | None = None
    ) -> Reply:
        """Perform a task on an image. Raises RowError if the image is refused."""
        _require_data(item)
        try:
            if file is not None:
                file.check_decoded()
            return await self._decoders.perform(
                task,
                item.payload,
                start_tag=flow.next_start_tag(),
                file=file,
                may_spread=file is None or not file.inflates,
                on_start=lambda: timings.mark_end_once("wait"),
            )
        except InvalidInput as error:
            raise RowError(item.row, "image", error) from None

    def _tokenized(self, item: Item, options: EmbedOptions) -> TokenizedText:
        """Raises RowError, TextTooLong."""
        text = str(item.payload)
        if len(text) > self._limits.max_text_chars:
            raise TextTooLong(
                f"Row {item.row}, column text: the text has {len(text):,} characters, "
                f"at most {self._limits.max_text_chars:,} are allowed.",
                row=item.row,
                column="text",
            )
        try:
            ids, count = self._tokenize(text)
            if count > len(ids) and not options.truncate:
                raise TextOverContext(
                    f"the text has {count:,} tokens, the model reads {len(ids)}; shorten it, or leave truncate out"
                )
        except InvalidInput as error:
            raise RowError(item.row, "text", error) from None
        return TokenizedText(item, ids, count > len(ids))


def _chunks(texts: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The texts in groups of about `size` characters."""
    chunk: list[Item] = []
    chars = 0
    for item in texts:
        chunk.append(item)
        chars += len(str(item.payload))
        if chars >= size:
            yield chunk
            chunk, chars = [], 0
    if chunk:
        yield chunk


def _require_data(item: Item) -> None:
    """Raise RowError for an image that is a URL. It is still one only if the service fetches none."""
    if isinstance(item.payload, str) and is_url(item.payload):
        raise RowError(item.row, "image", UrlNotAllowed(url_refusal(item.payload)))
