"""The forms in which a request's rows arrive: JSON, a raw image, files of a form, plain text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.errors import ContentTypeUnsupported, RequestInvalid, TooManyRows
from app.pipeline import Side
from app.schemas import Params, TextsRequest, check_row_count, parse_embed, parse_texts
from app.settings import Settings

MOST_FORM_FIELDS = 16


@dataclass(frozen=True)
class Work:
    """A request's rows by side, its parameters, and the names among them that mean nothing."""

    row_count: int
    images: Sequence[Side]
    texts: Sequence[Side]
    params: Params
    ignored_params: Sequence[str] = ()


async def read_table(request: Request, settings: Settings, columns: Sequence[str]) -> Work:
    """A JSON body of the Azure schema, with these columns allowed."""
    if not _is_json(content_type(request)):
        raise ContentTypeUnsupported("The content type is not JSON; send application/json.")
    return _table(await _json(request), settings, columns)


async def read_images(request: Request, settings: Settings) -> Work:
    """The Azure schema with an image column, one raw image, or a form with image files."""
    kind = content_type(request)
    if _is_json(kind):
        return _table(await _json(request), settings, ["image"])
    if kind == "multipart/form-data":
        return _images(await _files(request, settings))
    if kind.startswith("image/") or kind in ("application/dicom", "application/octet-stream"):
        return _images([await _body(request)])
    raise ContentTypeUnsupported("The content type is none of application/json, image/*, multipart/form-data.")


async def read_texts(request: Request, settings: Settings) -> Work:
    """The Azure schema with a text column, `{"texts": [...]}`, or one plain text."""
    kind = content_type(request)
    if kind == "text/plain":
        document: Any = {"texts": [_utf8(await _body(request))]}
    elif _is_json(kind):
        document = await _json(request)
    else:
        raise ContentTypeUnsupported("The content type is neither application/json nor text/plain.")
    if isinstance(document, dict) and document.keys() & TextsRequest.model_fields.keys() >= {"texts"}:
        embed = parse_texts(document, max_rows=settings.max_rows)
        texts = [Side(number, row.text) for number, row in enumerate(embed.rows) if row.text is not None]
        return Work(len(embed.rows), [], texts, embed.params, embed.ignored_params)
    return _table(document, settings, ["text"])


def content_type(request: Request) -> str:
    """The media type without its parameters, lower case; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _table(document: Any, settings: Settings, columns: Sequence[str]) -> Work:
    embed = parse_embed(document, max_rows=settings.max_rows, allowed=columns)
    return Work(
        len(embed.rows),
        [Side(number, row.image) for number, row in enumerate(embed.rows) if row.image is not None],
        [Side(number, row.text) for number, row in enumerate(embed.rows) if row.text is not None],
        embed.params,
        embed.ignored_params,
    )


def _images(files: Sequence[bytes]) -> Work:
    return Work(len(files), [Side(number, data) for number, data in enumerate(files)], [], Params())


async def _body(request: Request) -> bytes:
    body = await request.body()
    if not body:
        raise RequestInvalid("The body is empty.")
    return body


async def _json(request: Request) -> Any:
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


async def _files(request: Request, settings: Settings) -> list[bytes]:
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=settings.max_rows,
        max_fields=MOST_FORM_FIELDS,
        max_part_size=settings.max_body_bytes,
    )
    parser.spool_max_size = settings.max_body_bytes  # images may be patients: none of them is spooled to a disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise TooManyRows(f"The form has more than the {settings.max_rows} files that are allowed.") from error
        raise RequestInvalid("The form cannot be read as multipart/form-data with image files.") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise RequestInvalid("The form has no file; send one or more image files.")
        check_row_count(len(files), settings.max_rows)
        return [await file.read() for file in files]
    finally:
        await form.close()


def _is_json(kind: str) -> bool:
    return kind == "" or kind.endswith(("/json", "+json"))


def _utf8(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RequestInvalid("The text is not UTF-8.") from error
