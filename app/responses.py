"""The shapes of an answer. orjson writes the vectors from their memory: no float passes through Python."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from starlette.responses import Response

from app.bodies import Work
from app.errors import RequestInvalid
from app.pipeline import Embedding

FEATURES = ("image_features", "text_features")
_SAFE_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)


def embedding_response(
    work: Work, image_features: Sequence[Embedding], text_features: Sequence[Embedding], logit_scale: float
) -> Response:
    """Write a request's embeddings in the layout that it asked for."""
    by_row: list[dict[str, Any]] = [{} for _ in range(work.row_count)]
    for name, sides, vectors in zip(FEATURES, (work.images, work.texts), (image_features, text_features), strict=True):
        for side, vector in zip(sides, vectors, strict=True):
            by_row[side.row][name] = vector[np.newaxis]
    scale = {"scaling_factor": logit_scale} if work.params.get_scaling_factor else {}
    content: Any
    if work.params.layout == "rows":
        content = [row | scale for row in by_row]
    else:
        columns = _columns(by_row) | scale
        content = columns if work.params.layout == "columns" else [{name: part} for name, part in columns.items()]
    headers = _ignored_header(work.ignored_params)
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), 200, headers, "application/json")


def check_layout(work: Work) -> None:
    """Refuse, before anything is computed, a layout by columns for a table with holes.

    Raises:
        RequestInvalid: a side that only some rows have; names the first row without it.
    """
    if work.params.layout == "rows":
        return
    for column, sides in (("image", work.images), ("text", work.texts)):
        if sides and len(sides) < work.row_count:
            row = next(
                number for number in range(work.row_count) if number == len(sides) or sides[number].row != number
            )
            raise RequestInvalid(
                f'Row {row} has no {column}; the layout "{work.params.layout}" needs it in every row or in none.',
                row=row,
                column=column,
            )


def _columns(by_row: Sequence[Mapping[str, Embedding]]) -> dict[str, Any]:
    return {name: np.concatenate([row[name] for row in by_row]) for name in FEATURES if name in by_row[0]}


def _ignored_header(names: Sequence[str]) -> dict[str, str]:
    shown = [name if _SAFE_NAME.fullmatch(name) else "?" for name in names[:20]]
    return {"x-ignored-params": ", ".join(shown)} if shown else {}
