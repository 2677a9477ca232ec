"""The shapes of an answer. orjson writes the vectors from their memory: no float passes through Python."""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.datastructures import Headers
from starlette.responses import Response

from app.api.output_formats import FORMS, JSON, Vectors, accepted_format, base64_text, quantized
from app.api.params import Params
from app.api.request_parsing import EmbedJob
from app.api.response_compression import deflated
from app.errors import RequestInvalid
from app.inference.pipeline import Embedding

KINDS = ("image", "text")
_SAFE_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)


async def embedding_response(
    work: EmbedJob,
    image_features: Sequence[Embedding],
    text_features: Sequence[Embedding],
    logit_scale: float,
    wanted: Headers,
    wrapped_in: str = "",
) -> Response:
    """Write a request's embeddings in the form, the layout and the encoding that it asked for, the last by headers.

    JSON is put into an object under the key `wrapped_in`, if there is one."""
    params = work.params
    parts = [
        Vectors(kind, [item.row for item in items], quantized(np.stack(vectors), params.output_dtype))
        for kind, items, vectors in zip(KINDS, (work.images, work.texts), (image_features, text_features), strict=True)
        if items
    ]
    headers = _ignored_header(work.ignored_params)
    scale = logit_scale if params.get_scaling_factor else None
    if (form := accepted_format(wanted.get("accept", ""))) != JSON:
        headers |= {} if scale is None else {"x-scaling-factor": repr(scale)}
        return Response(FORMS[form](parts, scale), 200, headers | {"vary": "accept"}, form)
    content = _json_content(parts, work.row_count, params, {} if scale is None else {"scaling_factor": scale})
    content = {wrapped_in: content} if wrapped_in else content
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(await deflated(body, wanted.get("accept-encoding", ""), headers), 200, headers, JSON)


def _json_content(parts: Sequence[Vectors], row_count: int, params: Params, scale: dict[str, Any]) -> Any:
    if params.layout == "rows":
        by_row: list[dict[str, Any]] = [{} for _ in range(row_count)]
        for part in parts:
            # The vectors of a row stand together, so that they are a view: no number is touched here.
            starts = [n for n, row in enumerate(part.rows) if n == 0 or row != part.rows[n - 1]]
            for start, end in itertools.pairwise([*starts, len(part.rows)]):
                by_row[part.rows[start]][f"{part.kind}_features"] = _written(part.values[start:end], params)
        return [row | scale for row in by_row]
    columns = {f"{part.kind}_features": _written(part.values, params) for part in parts} | scale
    return columns if params.layout == "columns" else [{name: part} for name, part in columns.items()]


def _written(vectors: NDArray[Any], params: Params) -> Any:
    if params.encoding_format == "base64":
        return [base64_text(vector) for vector in vectors]
    return np.ascontiguousarray(vectors)


def check_layout(work: EmbedJob) -> None:
    """Refuse, before anything is computed, a layout by columns for a table with holes.

    Raises:
        RequestInvalid: a item that only some rows have; names the first row without it.
    """
    if work.params.layout == "rows":
        return
    if work.params.frames:
        raise RequestInvalid(f'params.frames "all" is for the layout "rows", not "{work.params.layout}".')
    for column, items in (("image", work.images), ("text", work.texts)):
        if items and len(items) < work.row_count:
            row = next(
                number for number in range(work.row_count) if number == len(items) or items[number].row != number
            )
            raise RequestInvalid(
                f'Row {row} has no {column}; the layout "{work.params.layout}" needs it in every row or in none.',
                row=row,
                column=column,
            )


def _ignored_header(names: Sequence[str]) -> dict[str, str]:
    shown = [name if _SAFE_NAME.fullmatch(name) else "?" for name in names[:20]]
    return {"x-ignored-params": ", ".join(shown)} if shown else {}
