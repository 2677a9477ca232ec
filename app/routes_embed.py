"""The routes that embed."""

import asyncio
from collections.abc import Awaitable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app import openapi
from app.bodies import Work, read_images, read_table, read_texts
from app.errors import DeadlineExceeded, RequestInvalid
from app.pipeline import Pipeline, Preparation
from app.responses import check_layout, embedding_response
from app.schemas import COLUMNS, Params
from app.state import Service, ServiceDependency
from app.timeline import Timeline
from model.preprocessing import Standardization

Value = TypeVar("Value")
TIMEOUT_HEADER = "x-request-timeout-ms"
MOST_TIMEOUT_DIGITS = 16
CLIENT_CLOSED_REQUEST = 499  # nobody is there to read it; it keeps the log honest

router = APIRouter(tags=["embeddings"])


@router.post("/embed", **openapi.embedding_route("Embed images and texts", openapi.TABLE_BODY))
@router.post("/score", **openapi.embedding_route("Embed images and texts (Azure's name)", openapi.TABLE_BODY))
@router.post(
    "/invocations",
    **openapi.embedding_route("Embed images and texts (SageMaker's and MLflow's name)", openapi.TABLE_BODY),
)
async def embed(request: Request, service: ServiceDependency) -> Response:
    """Embed the rows of a table in the Azure endpoint's schema; the answer has one object a row, in their order."""
    service.ready_pipeline()
    return await _answer(request, service, read_table(request, service.settings, COLUMNS))


@router.post("/embed/image", **openapi.embedding_route("Embed images", openapi.IMAGE_BODY))
async def embed_image(request: Request, service: ServiceDependency) -> Response:
    """Embed images: a table with an `image` column, one raw image as the body, or a form with image files."""
    service.ready_pipeline()
    return await _answer(request, service, read_images(request, service.settings))


@router.post("/embed/text", **openapi.embedding_route("Embed texts", openapi.TEXT_BODY))
async def embed_text(request: Request, service: ServiceDependency) -> Response:
    """Embed texts: a table with a `text` column, `{"texts": [...]}`, or one plain text."""
    service.ready_pipeline()
    return await _answer(request, service, read_texts(request, service.settings))


async def _answer(request: Request, service: Service, reading: Coroutine[Any, Any, Work]) -> Response:
    work = await reading
    timeline: Timeline = request.state.timeline
    timeline.reached("read")
    request.state.rows = work.row_count
    check_layout(work)
    loaded, pipeline = service.ready_pipeline()
    timeout_s = _timeout_s(request, service.settings.request_timeout_s)
    if work.params.frames:
        most = service.settings.max_rows
        frames = await pipeline.every_frame(work.images, work.params.rendering, most=most, timeline=timeline)
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
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return await embedding_response(work, *embeddings, loaded.engine.logit_scale, request.headers)


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
