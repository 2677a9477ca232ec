"""Execution of a job: admission, deadline, disconnected clients, remote images, frames, and the pipeline."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastapi import Request

from app.api.embed_job import EmbedJob
from app.errors import ClientGone, DeadlineExceeded, RequestInvalid
from app.inference.pipeline import Embeddings, Pipeline
from app.inference.preprocessor import Item
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
    context = RequestContext.of(request.scope)
    context.timings.mark_end("read")
    context.row_count = job.row_count
    timeout_s = _timeout_s(request, service.settings.request_timeout_s)
    with service.admission.reserve(job.row_count) as enlarge:
        try:
            async with asyncio.timeout(timeout_s):
                embedding = _embed(context, service, model.pipeline, job, enlarge)
                return await _unless_disconnected(request, model.pipeline, embedding)
        except TimeoutError as error:
            service.metrics.rows_expired(job.row_count)
            raise DeadlineExceeded(
                f"The answer took longer than {timeout_s:g} seconds; send fewer rows at once."
            ) from error


async def _embed(
    context: RequestContext, service: Service, pipeline: Pipeline, job: EmbedJob, enlarge: Callable[[int], None]
) -> JobResult:
    images = await _images(context, service, pipeline, job)
    enlarge(len(images))
    service.metrics.rows_admitted(len(images), len(job.texts))
    features = await pipeline.embed(images, job.texts, job.options, context.timings)
    return JobResult(replace(job, images=images), *features)


async def _images(context: RequestContext, service: Service, pipeline: Pipeline, job: EmbedJob) -> Sequence[Item]:
    """The images to embed: URLs are replaced by what they name, and images by their frames if all are asked for."""
    images = job.images
    if service.fetcher is not None:
        images, bad_row = await service.fetcher.fetch_images(images, context.held_bytes)
        context.timings.mark_end("read")
        if bad_row is not None:
            # A row before this one may be bad as well. The request must name the first, so these rows are tried.
            texts = [item for item in job.texts if item.row < bad_row.row]
            if images or texts:
                await pipeline.embed(images, texts, job.options, context.timings)
            raise bad_row
    if job.params.frames:
        images = await pipeline.preprocessor.every_frame(
            images, job.params.rendering, max_frames=service.settings.max_rows, timings=context.timings
        )
    return images


def _timeout_s(request: Request, max_s: float) -> float:
    """The client's own deadline, if it is sooner than the service's."""
    asked = request.headers.get(TIMEOUT_HEADER)
    if asked is None:
        return max_s
    if not (asked.isascii() and asked.isdecimal() and 0 < len(asked) < MAX_TIMEOUT_DIGITS and int(asked)):
        raise RequestInvalid(f"The header {TIMEOUT_HEADER} must be a whole number of milliseconds above 0.")
    return min(max_s, int(asked) / 1000)


async def _unless_disconnected(request: Request, pipeline: Pipeline, embedding: Awaitable[Value]) -> Value:
    """The result of `embedding`, which is cancelled if the client disconnects first.

    Raises:
        ClientGone: the client disconnected.
        Exception: the pipeline gave up everything in flight.
    """
    working = asyncio.ensure_future(embedding)
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
