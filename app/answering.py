"""From a request's rows to their vectors, for every route that embeds: deadline, admission, clients that leave."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

from fastapi import Request

from app.bodies import Work
from app.errors import ClientGone, DeadlineExceeded, RequestInvalid
from app.pipeline import Embedding, Pipeline
from app.preparing import Preparation
from app.schemas import Params
from app.state import Service
from app.timeline import Timeline
from model.preprocessing import Standardization

Value = TypeVar("Value")
TIMEOUT_HEADER = "x-request-timeout-ms"
MOST_TIMEOUT_DIGITS = 16


async def embeddings_of(
    request: Request, service: Service, work: Work
) -> tuple[Work, list[Embedding], list[Embedding]]:
    """Embed a request's rows.

    Returns:
        The work, with one side a frame where all were asked for; its images' vectors; its texts' vectors.

    Raises:
        ClientGone: nobody waits for the answer.
        ServiceError, RowError: every refusal.
    """
    timeline: Timeline = request.state.timeline
    timeline.reached("read")
    request.state.rows = work.row_count
    _, pipeline = service.ready_pipeline()
    timeout_s = _timeout_s(request, service.settings.request_timeout_s)
    if work.params.frames:
        most = service.settings.max_rows
        frames = await pipeline.preparer.every_frame(work.images, work.params.rendering, most=most, timeline=timeline)
        work = replace(work, images=frames)
    with service.admission.reserve(max(work.row_count, len(work.images))):
        service.metrics.rows_admitted(len(work.images), len(work.texts))
        try:
            async with asyncio.timeout(timeout_s):
                embeddings = await _while_wanted(
                    request,
                    pipeline,
                    pipeline.embed(work.images, work.texts, _preparation(work.params), timeline),
                )
        except TimeoutError as error:
            service.metrics.rows_expired(work.row_count)
            raise DeadlineExceeded(
                f"The answer took longer than {timeout_s:g} seconds; send fewer rows at once."
            ) from error
    if embeddings is None:
        raise ClientGone
    return work, *embeddings


def _preparation(params: Params) -> Preparation:
    quality = params.image_standardization_jpeg_compression_ratio
    standardization = Standardization(params.image_standardization_image_size, quality) if quality else None
    return Preparation(standardization, params.rendering, params.normalize)


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
