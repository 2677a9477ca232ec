"""From a request's rows to their vectors, for every route that embeds: deadline, admission, clients that leave."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from fastapi import Request

from app.api.params import Params
from app.api.request_parsing import EmbedJob
from app.errors import ClientGone, DeadlineExceeded, RequestInvalid
from app.inference.pipeline import Embedding, Pipeline
from app.inference.preprocessor import EmbedOptions, Item
from app.service import Service
from app.telemetry.stage_timings import StageTimings
from model.imaging.preprocessing import Standardization

Value = TypeVar("Value")
TIMEOUT_HEADER = "x-request-timeout-ms"
MOST_TIMEOUT_DIGITS = 16


async def embeddings_of(
    request: Request, service: Service, work: EmbedJob
) -> tuple[EmbedJob, list[Embedding], list[Embedding]]:
    """Embed a request's rows.

    Returns:
        The work, with one item a frame where all were asked for; its images' vectors; its texts' vectors.

    Raises:
        ClientGone: nobody waits for the answer.
        ServiceError, RowError: every refusal.
    """
    timings: StageTimings = request.state.timings
    timings.reached("read")
    request.state.rows = work.row_count
    _, pipeline = service.ready_pipeline()
    timeout_s = _timeout_s(request, service.settings.request_timeout_s)
    with service.admission.reserve(work.row_count) as enlarge:
        try:
            async with asyncio.timeout(timeout_s):
                answer = await _while_wanted(request, pipeline, _embedded(request, service, pipeline, work, enlarge))
        except TimeoutError as error:
            service.metrics.rows_expired(work.row_count)
            raise DeadlineExceeded(
                f"The answer took longer than {timeout_s:g} seconds; send fewer rows at once."
            ) from error
    if answer is None:
        raise ClientGone
    return answer


async def _embedded(
    request: Request, service: Service, pipeline: Pipeline, work: EmbedJob, enlarge: Callable[[int], None]
) -> tuple[EmbedJob, list[Embedding], list[Embedding]]:
    images = await _images_of(request, service, pipeline, work)
    enlarge(len(images))
    service.metrics.rows_admitted(len(images), len(work.texts))
    vectors = await pipeline.embed(images, work.texts, _embed_options(work.params), request.state.timings)
    return replace(work, images=images), *vectors


async def _images_of(request: Request, service: Service, pipeline: Pipeline, work: EmbedJob) -> Sequence[Item]:
    """The images that are embedded: fetched where they are URLs, and one a frame where all are asked for."""
    timings: StageTimings = request.state.timings
    images = work.images
    if service.fetcher is not None:
        images, bad_row = await service.fetcher.fetched(images, request.state.held)
        timings.reached("read")
        if bad_row is not None:  # unless one above it is bad as well, which is found out as for any other request
            texts = [item for item in work.texts if item.row < bad_row.row]
            if images or texts:
                await pipeline.embed(images, texts, _embed_options(work.params), timings)
            raise bad_row
    if work.params.frames:
        most = service.settings.max_rows
        images = await pipeline.preprocessor.every_frame(images, work.params.rendering, most=most, timings=timings)
    return images


def _embed_options(params: Params) -> EmbedOptions:
    quality = params.image_standardization_jpeg_compression_ratio
    standardization = Standardization(params.image_standardization_image_size, quality) if quality else None
    return EmbedOptions(standardization, params.rendering, params.normalize)


def _timeout_s(request: Request, most_s: float) -> float:
    """The client's own deadline, where it is sooner than the service's."""
    wanted = request.headers.get(TIMEOUT_HEADER)
    if wanted is None:
        return most_s
    if not (wanted.isascii() and wanted.isdecimal() and 0 < len(wanted) < MOST_TIMEOUT_DIGITS and int(wanted)):
        raise RequestInvalid(f"The header {TIMEOUT_HEADER} is no whole number of milliseconds above 0.")
    return min(most_s, int(wanted) / 1000)


async def _while_wanted(request: Request, pipeline: Pipeline, work: Awaitable[Value]) -> Value | None:
    """The result of `work`; None, and the work cancelled, when the client goes away first.

    Raises:
        Exception: the pipeline gave up all that was in it.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.create_task(_disconnected(request))
    given_up = pipeline.given_up
    first_of: list[asyncio.Future[Any]] = [working, leaving, given_up]
    try:
        await asyncio.wait(first_of, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        return given_up.result() if given_up.done() else None
    finally:
        working.cancel()
        leaving.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
