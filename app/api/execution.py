"""Execution of a job: admission, deadline, disconnected clients, remote images, frames, and the pipeline."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastapi import Request

from app.api.embed_job import EmbedJob
from app.api.render.schema import RenderJob
from app.errors import ClientGone, DeadlineExceeded, RequestInvalid, RowError
from app.inference.admission import Reservation
from app.inference.items import Item
from app.inference.pipeline import Embeddings, Pipeline
from app.middleware.request_context import RequestContext
from app.service import ReadyModel, Service

Value = TypeVar("Value")
TIMEOUT_HEADER = "x-request-timeout-ms"
MAX_TIMEOUT_DIGITS = 16


@dataclass(frozen=True)
class JobResult:
    """A job that was executed, and its features.

    Args:
        job: the job, with one image item per frame if all frames were asked for.
        image_features: (images, D) float32, in the order of `job.images`.
        text_features: (texts, D) float32, in the order of `job.texts`.
    """

    job: EmbedJob
    image_features: Embeddings
    text_features: Embeddings


async def execute(request: Request, service: Service, model: ReadyModel, job: EmbedJob) -> JobResult:
    """Embed the items of a job.

    Raises:
        ClientGone: the client disconnected.
        DeadlineExceeded: the answer would come too late.
        ServiceError, RowError: the job is refused.
    """

    def embed(context: RequestContext, reservation: Reservation) -> Coroutine[Any, Any, JobResult]:
        return _embed(context, service, model.pipeline, job, reservation)

    return await _admitted(request, service, model.pipeline, job.row_count, embed)


async def execute_render(request: Request, service: Service, model: ReadyModel, job: RenderJob) -> tuple[bytes, int]:
    """The picture of a job as a PNG file, and the number of frames of its image. Raises as `execute` does."""

    async def render(context: RequestContext, reservation: Reservation) -> tuple[bytes, int]:
        images, bad_row = await _fetch(context, service, [job.image])
        if bad_row is not None:
            raise bad_row
        service.metrics.rows_admitted(1, 0)
        picture = await model.pipeline.preprocessor.render(images[0], job.options, context.timings)
        reservation.computed_items = 1
        return picture

    return await _admitted(request, service, model.pipeline, 1, render)


async def _admitted(
    request: Request,
    service: Service,
    pipeline: Pipeline,
    row_count: int,
    compute: Callable[[RequestContext, Reservation], Coroutine[Any, Any, Value]],
) -> Value:
    """The result of `compute`, if there is room for its rows, until the deadline, while the client waits."""
    context = RequestContext.of(request.scope)
    context.timings.mark_end("read")
    context.row_count = row_count
    timeout_s = _timeout_s(request, service.settings.request_timeout_s)
    with service.admission.reserve(row_count) as reservation:
        try:
            async with asyncio.timeout(timeout_s):
                return await _unless_disconnected(request, pipeline, compute(context, reservation))
        except TimeoutError as error:
            service.metrics.rows_expired(row_count)
            raise DeadlineExceeded(
                f"The answer took longer than {timeout_s:g} seconds; send fewer rows at once."
            ) from error


async def _embed(
    context: RequestContext, service: Service, pipeline: Pipeline, job: EmbedJob, reservation: Reservation
) -> JobResult:
    fetched, bad_row = await _fetch(context, service, job.images)
    if bad_row is not None:
        # A row before this one may be bad as well. The request must name the first, so these rows are tried.
        texts = [item for item in job.texts if item.row < bad_row.row]
        if fetched or texts:
            await pipeline.embed(fetched, texts, job.options, context.timings)
        raise bad_row
    async with _frames(context, service, pipeline, job, fetched) as images:
        reservation.enlarge(len(images))
        service.metrics.rows_admitted(len(images), len(job.texts))
        features = await pipeline.embed(images, job.texts, job.options, context.timings)
        reservation.computed_items = context.timings.computed_items
        return JobResult(replace(job, images=images), *features)


async def _fetch(
    context: RequestContext, service: Service, images: Sequence[Item]
) -> tuple[Sequence[Item], RowError | None]:
    """The images with their URLs replaced by what they name, up to the first bad URL, and the error of that one."""
    if service.fetcher is None:
        return images, None
    fetched = await service.fetcher.fetch_images(images, context.held_bytes)
    context.timings.mark_end("read")
    return fetched


def _frames(
    context: RequestContext, service: Service, pipeline: Pipeline, job: EmbedJob, images: Sequence[Item]
) -> AbstractAsyncContextManager[Sequence[Item]]:
    """The images to embed: each is replaced by its frames if all are asked for."""
    if not job.params.frames:
        return nullcontext(images)
    return pipeline.preprocessor.every_frame(
        images, job.params.rendering, max_frames=service.settings.max_rows, timings=context.timings
    )


def _timeout_s(request: Request, max_s: float) -> float:
    """The client's own deadline, if it is sooner than the service's."""
    asked = request.headers.get(TIMEOUT_HEADER)
    if asked is None:
        return max_s
    if not (asked.isascii() and asked.isdecimal() and 0 < len(asked) < MAX_TIMEOUT_DIGITS and int(asked)):
        raise RequestInvalid(f"The header {TIMEOUT_HEADER} must be a whole number of milliseconds above 0.")
    return min(max_s, int(asked) / 1000)


async def _unless_disconnected(request: Request, pipeline: Pipeline, work: Coroutine[Any, Any, Value]) -> Value:
    """The result of `work`, which is cancelled if the client disconnects first.

    Raises:
        ClientGone: the client disconnected.
        Exception: the pipeline gave up everything in flight.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(request))
    given_up = pipeline.given_up
    futures: list[asyncio.Future[Any]] = [working, leaving, given_up]
    try:
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if given_up.done():
            given_up.result()
        raise ClientGone
    finally:
        working.cancel()
        leaving.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
