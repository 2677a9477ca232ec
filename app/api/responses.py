"""Answers in the Azure schema: layouts, encodings and output formats.

orjson writes the vectors from their memory, so that no number becomes a Python object.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import orjson
from fastapi import Request
from numpy.typing import NDArray
from starlette.datastructures import Headers
from starlette.responses import Response

from app.api.embed_job import EmbedJob
from app.api.error_handlers import row_answer
from app.api.execution import JobResult, execute
from app.api.output_formats import FORMATS, JSON, Vectors, accepted_format, base64_text, quantize
from app.api.params import Layout, Params
from app.api.response_compression import compress_body
from app.errors import RequestInvalid
from app.inference.bad_rows import BadRow
from app.service import ReadyModel, Service

FAILED_ROWS_HEADER, TRUNCATED_TEXTS_HEADER = "x-failed-rows", "x-truncated-texts"
BY_COLUMN: tuple[Layout, ...] = ("parts", "columns")
"""Layouts without a place for a row."""
_SAFE_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_MAX_IGNORED_NAMES = 20


async def answer_job(
    request: Request, service: Service, model: ReadyModel, job: EmbedJob, *, wrapped_in: str = ""
) -> Response:
    """Execute a job and answer in the layout, the encoding and the output format that the request asked for.

    Args:
        request: its headers choose the output format and the compression.
        service: the service.
        model: the model that computes.
        job: the parsed request.
        wrapped_in: key of an object that a JSON answer is put into; "" leaves the answer as it is.
    """
    job = replace(job, params=job.params.model_copy(update={"layout": job.params.layout or service.settings.layout}))
    if accepted_format(request.headers.get("accept", "")) == JSON:
        _check_layout(job)
    result = await execute(request, service, model, job)
    return await embedding_response(
        result, model.engine.logit_scale, request.headers, width=model.engine.embedding_size, wrapped_in=wrapped_in
    )


async def embedding_response(
    result: JobResult, logit_scale: float, headers: Headers, *, width: int, wrapped_in: str = ""
) -> Response:
    """The response with a job's features; see `answer_job` for the other arguments.

    Args:
        result: the job and its features.
        logit_scale: the model's.
        headers: of the request.
        width: numbers per vector, for a binary answer without one.
        wrapped_in: key of an object around a JSON answer.
    """
    job = result.job
    params = job.params
    parts = [
        Vectors(kind, [item.row for item in items], quantize(features, params.output_dtype))
        for kind, items, features in (
            ("image", job.images, result.image_features),
            ("text", job.texts, result.text_features),
        )
        if items
    ]
    sent = ignored_header(job.ignored_params) | count_headers(result)
    scale = logit_scale if params.get_scaling_factor else None
    if (media_type := accepted_format(headers.get("accept", ""))) != JSON:
        sent |= {} if scale is None else {"x-scaling-factor": repr(scale)}
        none = Vectors("image", [], quantize(np.empty((0, width), np.float32), params.output_dtype))
        return Response(FORMATS[media_type](parts or [none], scale), 200, sent | {"vary": "accept"}, media_type)
    content = _json_content(parts, result, {} if scale is None else {"scaling_factor": scale})
    return await json_response({wrapped_in: content} if wrapped_in else content, headers, sent)


async def json_response(content: Any, headers: Headers, sent: dict[str, str] | None = None) -> Response:
    """A JSON response that may hold numpy arrays, compressed if it is large and the client accepts that.

    Args:
        content: what orjson can write, numpy arrays included.
        headers: of the request.
        sent: headers of the response.
    """
    sent = {} if sent is None else sent
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(await compress_body(body, headers.get("accept-encoding", ""), sent), 200, sent, JSON)


def _json_content(parts: Sequence[Vectors], result: JobResult, scale: dict[str, Any]) -> Any:
    params = result.job.params
    if params.layout not in BY_COLUMN:
        by_row: list[dict[str, Any]] = [{} for _ in range(result.job.row_count)]
        for part in parts:
            # The vectors of one row are neighbours, so that a slice is a view and nothing is copied.
            starts = [n for n, row in enumerate(part.rows) if n == 0 or row != part.rows[n - 1]]
            for start, end in itertools.pairwise([*starts, len(part.rows)]):
                vectors = _encoded(part.values[start:end], params)
                is_flat = params.layout == "azure" and part.kind == "text"
                by_row[part.rows[start]][f"{part.kind}_features"] = vectors[0] if is_flat else vectors
        errors = {row: {"error": row_answer(error)} for row, error in result.row_errors.items()}
        return [errors.get(number) or row | scale for number, row in enumerate(by_row)]
    columns = {f"{part.kind}_features": _encoded(part.values, params) for part in parts} | scale
    return columns if params.layout == "columns" else [{name: part} for name, part in columns.items()]


def _encoded(vectors: NDArray[Any], params: Params) -> Any:
    if params.encoding_format == "base64":
        return [base64_text(vector) for vector in vectors]
    return np.ascontiguousarray(vectors)


def _check_layout(job: EmbedJob) -> None:
    """Refuse a layout by columns for rows with gaps, before anything is computed.

    Raises:
        RequestInvalid: only some rows have an image, or a text; the message names the first row without it. Or the
            parameters need one object per row.
    """
    layout = job.params.layout
    if layout not in BY_COLUMN:
        return
    for name, value in (("frames", job.params.frames), ("on_error", job.params.answers_bad_rows and "row")):
        if value:
            raise RequestInvalid(f'params.{name} "{value}" needs the layout "rows" or "azure", not "{layout}".')
    for column, items in (("image", job.images), ("text", job.texts)):
        if items and len(items) < job.row_count:
            present = {item.row for item in items}
            row = next(number for number in range(job.row_count) if number not in present)
            raise RequestInvalid(
                f'Row {row} has no {column}; the layout "{layout}" needs it in every row or in none.',
                row=row,
                column=column,
            )


class Counted(Protocol):
    """The result of a request with rows and texts."""

    @property
    def row_errors(self) -> Mapping[int, BadRow]: ...

    @property
    def truncated_texts(self) -> int: ...


def count_headers(result: Counted) -> dict[str, str]:
    """The headers that count bad rows and truncated texts, each if there was one."""
    counts = {FAILED_ROWS_HEADER: len(result.row_errors), TRUNCATED_TEXTS_HEADER: result.truncated_texts}
    return {name: str(count) for name, count in counts.items() if count}


def ignored_header(names: Sequence[str]) -> dict[str, str]:
    """The header with the names of parameters that are ignored, those that are safe in a header; {} without names."""
    shown = [name if _SAFE_NAME.fullmatch(name) else "?" for name in names[:_MAX_IGNORED_NAMES]]
    return {"x-ignored-params": ", ".join(shown)} if shown else {}
