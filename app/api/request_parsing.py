"""From the bytes of a request to its job: JSON, a raw image, a form with files, or plain text."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from starlette.requests import Request

from app.api.azure.schema import COLUMNS, parse_table, parse_texts
from app.api.bodies.form_body import MAX_BYTES_PER_CHARACTER, TEXT_FIELD, read_form
from app.api.bodies.json_body import read_json
from app.api.classify.schema import ClassifyJob, parse_classify
from app.api.embed_job import EmbedJob
from app.api.params import check_no_frames
from app.api.render.schema import RenderJob, parse_render
from app.errors import ContentTypeUnsupported, RequestInvalid, TextTooLong
from app.settings import Settings

Job = TypeVar("Job", EmbedJob, RenderJob, ClassifyJob)

MANY_CHUNKS = 16  # more are joined in a thread, where joining large ones needs no lock of the interpreter
RAW_IMAGE_TYPES = ("image/", "application/dicom", "application/octet-stream", "application/gzip", "application/x-nifti")


async def read_table(request: Request, settings: Settings) -> EmbedJob:
    """Read a JSON body in the Azure schema, or a form with image files and texts."""
    kind = content_type(request)
    if kind == "multipart/form-data":
        images, fields = await read_form(request, settings, with_texts=True)
        texts = [value for name, value in fields if name == TEXT_FIELD]
        params = _form_params(request, [field for field in fields if field[0] != TEXT_FIELD])
        return EmbedJob.from_files(images, texts, dict(params)).without_frames()
    if not is_json(kind):
        raise _unsupported(kind, "neither application/json nor multipart/form-data")
    job = parse_table(await read_json(request, settings), max_rows=settings.max_rows, columns=COLUMNS).without_frames()
    return ignoring_query(job, request)


async def read_images(request: Request, settings: Settings) -> EmbedJob:
    """Read a JSON body in the Azure schema with an image column, one raw image, or a form with image files."""
    if is_json(content_type(request)):
        document = await read_json(request, settings)
        return ignoring_query(parse_table(document, max_rows=settings.max_rows, columns=["image"]), request)
    images, params = await _read_files(request, settings)
    return EmbedJob.from_files(images, [], dict(params))


async def read_one_image(request: Request, settings: Settings) -> RenderJob:
    """Read a request that `read_images` would read, if it has one image; for `/render`."""
    if is_json(content_type(request)):
        return ignoring_query(parse_render(await read_json(request, settings), max_rows=settings.max_rows), request)
    images, params = await _read_files(request, settings)
    return RenderJob.from_files(images, dict(params))


async def read_classification(request: Request, settings: Settings) -> ClassifyJob:
    """Read images as `read_images` does, with the parameters of `/classify`."""
    if is_json(content_type(request)):
        return ignoring_query(parse_classify(await read_json(request, settings), max_rows=settings.max_rows), request)
    images, params = await _read_files(request, settings, more_fields=settings.max_labels)
    return ClassifyJob.from_files(images, params)


async def read_texts(request: Request, settings: Settings) -> EmbedJob:
    """Read a JSON body in the Azure schema with a text column, `{"texts": [...]}`, or one plain text."""
    kind = content_type(request)
    if kind == "text/plain":
        text = await _read_text(request, settings.max_text_chars)
        return EmbedJob.from_files([], [text], request.query_params).without_frames()
    if not is_json(kind):
        raise _unsupported(kind, "neither application/json nor text/plain")
    document = await read_json(request, settings)
    if document.get("texts") is not None:
        job = parse_texts(document, max_rows=settings.max_rows)
    else:
        job = parse_table(document, max_rows=settings.max_rows, columns=["text"])
    return ignoring_query(job.without_frames(), request)


def ignoring_query(job: Job, request: Request) -> Job:
    """The job of a JSON body, with the names in the URL's query among the ignored ones: its params are in the body.

    Raises:
        RequestInvalid: `frames` is among them.
    """
    check_no_frames(request.query_params)
    return replace(job, ignored_params=(*job.ignored_params, *request.query_params))


def content_type(request: Request) -> str:
    """Media type of the body without its parameters, in lower case; "" if the header is missing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Whether a body of this media type is read as JSON; a missing media type counts as JSON."""
    return kind == "" or kind.endswith(("/json", "+json"))


async def _read_body(request: Request) -> bytes:
    chunks = [chunk async for chunk in request.stream()]
    body = await asyncio.to_thread(b"".join, chunks) if len(chunks) > MANY_CHUNKS else b"".join(chunks)
    if not body:
        raise RequestInvalid("The body is empty.")
    return body


async def _read_files(
    request: Request, settings: Settings, *, more_fields: int = 0
) -> tuple[list[bytes], Sequence[tuple[str, str]]]:
    """The image files of a body that is not JSON, and the names and values of its parameters.

    They come from the query and from the fields of a form; the query has priority.
    """
    kind = content_type(request)
    if kind == "multipart/form-data":
        images, fields = await read_form(request, settings, with_texts=False, more_fields=more_fields)
        return images, _form_params(request, fields)
    if kind.startswith(RAW_IMAGE_TYPES):
        return [await _read_body(request)], request.query_params.multi_items()
    raise _unsupported(
        kind,
        "none of application/json, image/*, application/dicom, application/octet-stream (for any other image file), "
        "multipart/form-data",
    )


def _form_params(request: Request, fields: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The names and values of the parameters of a form; the query has priority over the fields."""
    query = request.query_params
    return [*((name, value) for name, value in fields if name not in query), *query.multi_items()]


def _unsupported(kind: str, accepted: str) -> ContentTypeUnsupported:
    """The refusal of a content type; it names the header or the route that would be right, if one is likely."""
    instead = ""
    if kind == "application/x-www-form-urlencoded":  # what `curl -d` sends
        instead = "; send JSON with the header content-type: application/json, and files as multipart/form-data"
    elif kind == "text/plain":
        instead = "; /embed/text reads a plain text"
    elif kind == "multipart/form-data":
        instead = "; /embed reads texts and image files in a form"
    elif kind.startswith(RAW_IMAGE_TYPES):
        instead = "; /embed/image reads an image file"
    return ContentTypeUnsupported(f"The content type is {accepted}{instead}.")


async def _read_text(request: Request, max_chars: int) -> str:
    body = await _read_body(request)
    if len(body) > MAX_BYTES_PER_CHARACTER * max_chars:
        raise TextTooLong(
            f"Row 0, column text: the text has more than the {max_chars:,} characters that are allowed.",
            row=0,
            column="text",
        )
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RequestInvalid("The text is not UTF-8.") from error
