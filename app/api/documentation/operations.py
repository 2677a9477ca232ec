"""Keyword arguments of the routes: what their operations in the OpenAPI document say."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.api.azure.schema import EmbeddingColumns, EmbeddingRow
from app.api.classify.schema import FailedRow, LabelScore
from app.api.documentation.answers import Answer, vector_answer
from app.api.documentation.bodies import json_body
from app.api.documentation.examples import EXAMPLE_SCALE, EXAMPLE_VECTOR
from app.api.documentation.parameters import REQUEST_HEADERS, query_parameters
from app.api.params import Params

EMBEDDINGS: Any = list[EmbeddingRow] | EmbeddingColumns
EMBEDDINGS_OR_LABELS: Any = EMBEDDINGS | list[list[LabelScore] | FailedRow]
_ROWS = "One object per row, in the order of the rows; `layout` selects other layouts, and `Accept` other formats."


def post_route(
    summary: str, body: Mapping[str, Any], response_model: Any, answer: Answer, parameters: list[dict[str, Any]]
) -> dict[str, Any]:
    """Keyword arguments of a route that reads a body.

    Args:
        summary: one line about the route.
        body: the request body, see `bodies`.
        response_model: pydantic model of a JSON answer; None if the answer is a file.
        answer: the successful answer, see `answers`.
        parameters: the query parameters, see `query_parameters`.
    """
    return {
        "summary": summary,
        "response_model": response_model,
        "responses": answer,
        "openapi_extra": {"requestBody": dict(body), "parameters": [*parameters, *REQUEST_HEADERS]},
    }


def embedding_route(
    summary: str,
    body: Mapping[str, Any],
    *,
    without: Sequence[str] = ("frames",),
    kinds: Sequence[str] = ("image", "text"),
    response_model: Any = EMBEDDINGS,
) -> dict[str, Any]:
    """Keyword arguments of a route that embeds, and answers in the Azure endpoint's schema.

    Args:
        summary: one line about the route.
        body: the request body.
        without: names of parameters that it refuses or that have no effect.
        kinds: image, text or both; the vectors of a row.
        response_model: pydantic model of the answer.
    """
    row = {f"{kind}_features": [EXAMPLE_VECTOR] for kind in kinds} | {"scaling_factor": EXAMPLE_SCALE}
    answer = vector_answer(_ROWS, rows=[row])
    return post_route(summary, body, response_model, answer, query_parameters(Params, without=without))


def json_route(
    summary: str, request_model: str, response_model: Any, answer: Answer, **examples: Any
) -> dict[str, Any]:
    """Keyword arguments of a route that reads and answers JSON, without parameters of the query.

    Args:
        summary: one line about the route.
        request_model: name of the pydantic model of the body, which `document._MODELS` holds.
        response_model: pydantic model of the answer.
        answer: the successful answer.
        examples: bodies that the route answers with 200, by name.
    """
    return post_route(summary, json_body(request_model, **examples), response_model, answer, [])
