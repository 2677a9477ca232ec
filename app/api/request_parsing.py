"""The forms in which a request's rows arrive: JSON, a raw image, files of a form, plain text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.api.azure.schema import (
    COLUMNS,
    TextsRequest,
    check_row_count,
    parse_embed,
    parse_query,
    parse_texts,
)
from app.api.mlflow.schema import MLFLOW_FORMS, mlflow_table
from app.api.params import Params
from app.errors import ContentTypeUnsupported, RequestInvalid, TooManyRows
from app.inference.preprocessor import Item
from app.settings import Settings

MOST_FORM_FIELDS = 16
RAW_KINDS = ("image/", "application/dicom", "application/octet-stream", "application/gzip", "application/x-nifti")


@dataclass(frozen=True)
class EmbedJob:
    """A request's rows by item, its parameters, and the names among them that mean nothing."""

    row_count: int
    images: Sequence[Item]
    texts: Sequence[Item]
    params: Params
    ignored_params: Sequence[str] = ()


async def read_table(request: Request, settings: Settings, columns: Sequence[str]) -> EmbedJob:
    """A JSON body of the Azure schema, with these columns allowed, or a form with image files and texts."""
    kind = content_type(request)
    if kind == "multipart/form-data":
        return _sides(request, *await _form(request, settings, with_texts=True))
    if not _is_json(kind):
        raise ContentTypeUnsupported("The content type is neither application/json nor multipart/form-data.")
    return _no_frames(_table(await read_json(request), settings, columns))


async def read_invocation(request: Request, settings: Settings) -> tuple[EmbedJob, bool]:
    """A body of `/invocations`, and whether it is one of MLflow's own forms."""
    kind = content_type(request)
    if not _is_json(kind):
        return await read_table(request, settings, COLUMNS), False
    document = await read_json(request)
    forms = MLFLOW_FORMS & document.keys() if isinstance(document, dict) else set()
    if forms:
        document = mlflow_table(document)
    return _no_frames(_table(document, settings, COLUMNS)), bool(forms)


async def read_images(request: Request, settings: Settings) -> EmbedJob:
    """The Azure schema with an image column, one raw image, or a form with image files."""
    kind = content_type(request)
    if _is_json(kind):
        return _table(await read_json(request), settings, ["image"])
    if kind == "multipart/form-data":
        return _sides(request, *await _form(request, settings, with_texts=False))
    if kind.startswith(RAW_KINDS):
        return _sides(request, [await _body(request)], [])
    raise ContentTypeUnsupported(
        "The content type is none of application/json, image/*, application/dicom, application/octet-stream (for any "
        "other image file), multipart/form-data."
    )


async def read_texts(request: Request, settings: Settings) -> EmbedJob:
    """The Azure schema with a text column, `{"texts": [...]}`, or one plain text."""
    kind = content_type(request)
    if kind == "text/plain":
        return _no_frames(_sides(request, [], [_utf8(await _body(request))]))
    if not _is_json(kind):
        raise ContentTypeUnsupported("The content type is neither application/json nor text/plain.")
    document = await read_json(request)
    if isinstance(document, dict) and document.keys() & TextsRequest.model_fields.keys() >= {"texts"}:
        embed = parse_texts(document, max_rows=settings.max_rows)
        texts = [Item(number, row.text) for number, row in enumerate(embed.rows) if row.text is not None]
        return _no_frames(EmbedJob(len(embed.rows), [], texts, embed.params, embed.ignored_params))
    return _no_frames(_table(document, settings, ["text"]))


def content_type(request: Request) -> str:
    """The media type without its parameters, lower case; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _table(document: Any, settings: Settings, columns: Sequence[str]) -> EmbedJob:
    embed = parse_embed(document, max_rows=settings.max_rows, allowed=columns)
    return EmbedJob(
        len(embed.rows),
        [Item(number, row.image) for number, row in enumerate(embed.rows) if row.image is not None],
        [Item(number, row.text) for number, row in enumerate(embed.rows) if row.text is not None],
        embed.params,
        embed.ignored_params,
    )


def _sides(request: Request, images: Sequence[bytes], texts: Sequence[str]) -> EmbedJob:
    """The first image and the first text are row 0, and so on; parameters stand in the query."""
    params, ignored = parse_query(request.query_params)
    return EmbedJob(
        max(len(images), len(texts)),
        [Item(number, data) for number, data in enumerate(images)],
        [Item(number, text) for number, text in enumerate(texts)],
        params,
        ignored,
    )


def _no_frames(work: EmbedJob) -> EmbedJob:
    if work.params.frames:
        raise RequestInvalid('params.frames "all" is for /embed/image alone; pick one with params.frame.')
    return work


async def _body(request: Request) -> bytes:
    body = await request.body()
    if not body:
        raise RequestInvalid("The body is empty.")
    return body


async def read_json(request: Request) -> Any:
    body = await _body(request)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _lenient_json(body, error)


def _lenient_json(body: bytes, error: orjson.JSONDecodeError) -> Any:
    """Python's parser takes lone surrogates, so that the text with one can be named by its row."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        reason = "" if "surrogate" in error.msg else f" ({error.msg})"
        raise RequestInvalid(f"The body is not JSON: line {error.lineno}, column {error.colno}{reason}.") from None


async def _form(request: Request, settings: Settings, *, with_texts: bool) -> tuple[list[bytes], list[str]]:
    """The image files of a form, and the texts in its fields of that name."""
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=settings.max_rows,
        max_fields=settings.max_rows if with_texts else MOST_FORM_FIELDS,
        max_part_size=settings.max_body_bytes,
    )
    parser.spool_max_size = settings.max_body_bytes  # images may be patients: none of them is spooled to a disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many"):
            raise TooManyRows(f"The form has more than the {settings.max_rows} parts that are allowed.") from error
        raise RequestInvalid("The form cannot be read as multipart/form-data with image files.") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        if with_texts and any(name != "text" for name, _ in fields):
            raise RequestInvalid("The form has a field that is neither a file nor named text; send no others.")
        texts = [value for _, value in fields] if with_texts else []
        if not files and not texts:
            raise RequestInvalid(
                f"The form has no file{' and no field text' if with_texts else ''}; send one or more image files."
            )
        check_row_count(max(len(files), len(texts)), settings.max_rows)
        return [await file.read() for file in files], texts
    finally:
        await form.close()


def _is_json(kind: str) -> bool:
    return kind == "" or kind.endswith(("/json", "+json"))


def _utf8(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RequestInvalid("The text is not UTF-8.") from error
