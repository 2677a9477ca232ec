"""Execution of a job: admission, deadline, disconnected clients, remote images, frames, and the pipeline."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from fastapi import Request

from app.api.embed_job import EmbedJob
from app.api.render.schema import RenderJob
from app.errors import ClientGone, DeadlineExceeded, RequestInvalid
from app.inference.admission import Reservation
from app.inference.bad_rows import BadRow, BadRows, row_of
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
        job: the job, without the items of bad rows, and with one image item per frame if all frames were asked for.
        image_features: (images, D) float32, in the order of `job.images`.
        text_features: (texts, D) float32, in the order of `job.texts`.
        tokens: tokens of all texts that were embedded.
        truncated_texts: texts that were longer than the context.
        row_errors: errors by row, if bad rows are answered.
    """

    job: EmbedJob
    image_features: Embeddings
    text_features: Embeddings
    tokens: int = 0
    truncated_texts: int = 0
    row_errors: Mapping[int, BadRow] = field(default_factory=dict)

    @property
    def in_row_order(self) -> Embeddings:
        """The vectors (rows, D) of a job with one item per row."""
        parts = [features for features in (self.image_features, self.text_features) if len(features)]
        rows = [item.row for item in (*self.job.images, *self.job.texts)]
        ordered: Embeddings = np.concatenate(parts)[np.argsort(rows)]
        return ordered


async def execute(request: Request, service: Service, model: ReadyModel, job: EmbedJob) -> JobResult:
    """Embed the items of a job.

    Raises:
        ClientGone: the client disconnected.
        DeadlineExceeded: the answer would come too late.
        ServiceError, RowError: the job is refused; by a bad row only if bad rows are not answered.
    """

    def embed(context: RequestContext, reservation: Reservation) -> Coroutine[Any, Any, JobResult]:
        return _embed(context, service, model.pipeline, job, reservation)

    return await admitted(request, service, model.pipeline, job.row_count, embed)


async def execute_render(request: Request, service: Service, model: ReadyModel, job: RenderJob) -> tuple[bytes, int]:
    """The picture of a job as a PNG file, and the number of frames of its image. Raises as `execute` does."""

    async def render(context: RequestContext, reservation: Reservation) -> tuple[bytes, int]:
        bad_rows = BadRows()
        images = await fetch(context, service, [job.image], bad_rows)
        if bad_rows.refusal is not None:
            raise bad_rows.refusal
        service.metrics.rows_admitted(1, 0)
        picture = await model.pipeline.preprocessor.render(images[0], job.options, context.timings)
        reservation.computed_items = 1
        return picture

    return await admitted(request, service, model.pipeline, 1, render)


async def admitted(
    request: Request,
    service: Service,
    pipeline: Pipeline,
    row_count: int,
    compute: Callable[[RequestContext, Reservation], Coroutine[Any, Any, Value]],
) -> Value:
    """The result of `compute`, if there is room for its rows, until the deadline, while the client waits.

    Args:
        request: its headers may shorten the deadline.
        service: the service.
        pipeline: the pipeline that `compute` uses.
        row_count: rows to reserve.
        compute: gets the context and the reservation, whose `computed_items` it sets.

    Raises:
        ClientGone: the client disconnected.
        DeadlineExceeded: the answer would come too late.
        QueueFull: there is no room for the rows.
    """
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
    pipeline.check_reads(job.texts)  # before images are fetched
    bad_rows = job.bad_rows
    fetched = await fetch(context, service, job.images, bad_rows)
    if (bad_url := bad_rows.refusal) is not None:
        # A row before this one may be bad as well. The request must name the first, so these rows are tried.
        texts = [item for item in job.texts if item.row < row_of(bad_url)]
        if fetched or texts:
            await pipeline.embed(fetched, texts, job.options, context.timings)
        raise bad_url
    async with frames(context, service, pipeline, job, fetched, bad_rows) as images:
        reservation.enlarge(len(images))
        service.metrics.rows_admitted(len(images), len(job.texts))
        embedded = await pipeline.embed(images, job.texts, job.options, context.timings, bad_rows)
        reservation.computed_items = context.timings.computed_items
        good = replace(job, images=bad_rows.good(images), texts=bad_rows.good(job.texts))
        return JobResult(good, *embedded, bad_rows.errors)


async def fetch(context: RequestContext, service: Service, images: Sequence[Item], bad_rows: BadRows) -> Sequence[Item]:
    """The images with their URLs replaced by what they name.

    Those that cannot be fetched are left out, and get an error in `bad_rows`. If bad rows refuse the request, the
    images end before the first of these.
    """
    if service.fetcher is None:
        return images
    fetched = await service.fetcher.fetch_images(images, context.held_bytes, bad_rows)
    context.timings.mark_end("read")
    return fetched


def frames(
    context: RequestContext,
    service: Service,
    pipeline: Pipeline,
    job: EmbedJob,
    images: Sequence[Item],
    bad_rows: BadRows,
) -> AbstractAsyncContextManager[Sequence[Item]]:
    """The images to embed: each is replaced by its frames if all are asked for."""
    if not job.params.frames:
        return nullcontext(images)
    return pipeline.preprocessor.every_frame(
        images,
        job.params.preprocessing.rendering,
        max_frames=service.settings.max_rows,
        timings=context.timings,
        bad_rows=bad_rows,
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
