"""From the bytes of a request to its job: JSON, a raw image, a form with files, or plain text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.api.azure.schema import COLUMNS, TextsRequest, parse_table, parse_texts
from app.api.embed_job import EmbedJob, check_row_count
from app.api.render.schema import RenderJob, parse_render
from app.api.validation import check_has_one_of
from app.errors import ContentTypeUnsupported, RequestInvalid, TooManyRows
from app.settings import Settings

Job = TypeVar("Job", EmbedJob, RenderJob)

MAX_FORM_FIELDS = 16
RAW_IMAGE_TYPES = ("image/", "application/dicom", "application/octet-stream", "application/gzip", "application/x-nifti")


async def read_table(request: Request, settings: Settings) -> EmbedJob:
    """Read a JSON body in the Azure schema, or a form with image files and texts."""
    kind = content_type(request)
    if kind == "multipart/form-data":
        images, fields = await _read_form(request, settings, with_texts=True)
        texts = [value for _, value in fields]
        return EmbedJob.from_files(images, texts, request.query_params).without_frames()
    if not is_json(kind):
        raise ContentTypeUnsupported("The content type is neither application/json nor multipart/form-data.")
    job = parse_table(await read_json(request), max_rows=settings.max_rows, columns=COLUMNS).without_frames()
    return ignoring_query(job, request)


async def read_images(request: Request, settings: Settings) -> EmbedJob:
    """Read a JSON body in the Azure schema with an image column, one raw image, or a form with image files."""
    if is_json(content_type(request)):
        job = parse_table(await read_json(request), max_rows=settings.max_rows, columns=["image"])
        return ignoring_query(job, request)
    images, params = await _read_files(request, settings)
    return EmbedJob.from_files(images, [], params)


async def read_one_image(request: Request, settings: Settings) -> RenderJob:
    """Read a request that `read_images` would read, if it has one image; for `/render`."""
    if is_json(content_type(request)):
        return ignoring_query(parse_render(await read_json(request), max_rows=settings.max_rows), request)
    images, params = await _read_files(request, settings)
    return RenderJob.from_files(images, params)


async def read_texts(request: Request, settings: Settings) -> EmbedJob:
    """Read a JSON body in the Azure schema with a text column, `{"texts": [...]}`, or one plain text."""
    kind = content_type(request)
    if kind == "text/plain":
        text = _decode_utf8(await _read_body(request))
        return EmbedJob.from_files([], [text], request.query_params).without_frames()
    if not is_json(kind):
        raise ContentTypeUnsupported("The content type is neither application/json nor text/plain.")
    document = await read_json(request)
    check_has_one_of(document, ("input_data", "texts"))
    if isinstance(document, dict) and document.keys() & TextsRequest.model_fields.keys() >= {"texts"}:
        job = parse_texts(document, max_rows=settings.max_rows)
    else:
        job = parse_table(document, max_rows=settings.max_rows, columns=["text"])
    return ignoring_query(job.without_frames(), request)


def ignoring_query(job: Job, request: Request) -> Job:
    """The job of a JSON body, with the names in the URL's query among the ignored ones: its params are in the body."""
    return replace(job, ignored_params=(*job.ignored_params, *request.query_params))


def content_type(request: Request) -> str:
    """Media type of the body without its parameters, in lower case; "" if the header is missing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Whether a body of this media type is read as JSON; a missing media type counts as JSON."""
    return kind == "" or kind.endswith(("/json", "+json"))


async def read_json(request: Request) -> Any:
    """Parse a JSON body.

    Raises:
        RequestInvalid: the body is empty or is not JSON; the message names the line and the column.
    """
    body = await _read_body(request)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _parse_with_surrogates(body, error)


def _parse_with_surrogates(body: bytes, error: orjson.JSONDecodeError) -> Any:
    """Parse JSON that holds lone surrogates, so that the text with one can be refused by its row."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        reason = "" if "surrogate" in error.msg else f" ({error.msg})"
        raise RequestInvalid(f"The body is not JSON: line {error.lineno}, column {error.colno}{reason}.") from None


async def _read_body(request: Request) -> bytes:
    body = await request.body()
    if not body:
        raise RequestInvalid("The body is empty.")
    return body


async def _read_files(request: Request, settings: Settings) -> tuple[list[bytes], Mapping[str, str]]:
    """The image files of a body that is not JSON, and its parameters.

    They come from the query and from the fields of a form; the query has priority.
    """
    kind = content_type(request)
    if kind == "multipart/form-data":
        images, fields = await _read_form(request, settings, with_texts=False)
        return images, {**dict(fields), **request.query_params}
    if kind.startswith(RAW_IMAGE_TYPES):
        return [await _read_body(request)], request.query_params
    raise ContentTypeUnsupported(
        "The content type is none of application/json, image/*, application/dicom, application/octet-stream (for any "
        "other image file), multipart/form-data."
    )


async def _read_form(
    request: Request, settings: Settings, *, with_texts: bool
) -> tuple[list[bytes], list[tuple[str, str]]]:
    """The image files of a form, and the names and values of its fields: with texts, only fields named `text`."""
    max_fields = settings.max_rows if with_texts else MAX_FORM_FIELDS
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=settings.max_rows,
        max_fields=max_fields,
        max_part_size=settings.max_body_bytes,
    )
    parser.spool_max_size = settings.max_body_bytes  # images may show patients: none is written to a disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many"):
            raise TooManyRows(
                f"The form has more parts than the {settings.max_rows} files and {max_fields} fields that are allowed."
            ) from error
        raise RequestInvalid("The form cannot be read as multipart/form-data with image files.") from error
    try:
        files, fields = _form_parts(form, with_texts=with_texts)
        check_row_count(max(len(files), len(fields) if with_texts else 0), settings.max_rows)
        return [await file.read() for file in files], fields
    finally:
        await form.close()


def _form_parts(form: FormData, *, with_texts: bool) -> tuple[Sequence[UploadFile], list[tuple[str, str]]]:
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    if with_texts and any(name != "text" for name, _ in fields):
        raise RequestInvalid("The form has a field that is neither a file nor named text; send only these.")
    if not files and not (with_texts and fields):
        missing = "neither a file nor a field named text" if with_texts else "no file"
        raise RequestInvalid(f"The form has {missing}; send one or more image files.")
    return files, fields


def _decode_utf8(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RequestInvalid("The text is not UTF-8.") from error
