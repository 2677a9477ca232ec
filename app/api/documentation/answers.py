"""Successful answers: content types, headers and examples."""

from typing import Any

from app.api.documentation.bodies import BINARY
from app.api.documentation.examples import named
from app.api.output_formats import FORMATS, JSON

Answer = dict[int | str, dict[str, Any]]
"""A successful answer, in the form of FastAPI's `responses`."""


def _header(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


_COUNT = {"type": "integer", "minimum": 1}
_REQUEST_ID = {"x-request-id": _header("Request id: the client's own, or a new one.")}
_ROW_HEADERS = {
    "x-ignored-params": _header("Names of parameters that were ignored; absent if there is none."),
    "x-failed-rows": _header("Number of bad rows that are answered with an error; absent if there is none.", **_COUNT),
    "x-truncated-texts": _header("Number of texts that were cut to the context; absent if there is none.", **_COUNT),
}
_FRAMES = _header(
    "Number of frames or pages that `frame` can choose, or of slices of a volume across `axis`.", **_COUNT
)
_SCALE = _header("The raw learned `logit_scale`, in answers that are not JSON.", type="number")


def json_answer(description: str, **examples: Any) -> Answer:
    """A JSON answer; FastAPI adds the schema of the response model.

    Args:
        description: one sentence.
        examples: answers by name; vectors are shortened.
    """
    return {200: {"description": description, "headers": dict(_REQUEST_ID), "content": {JSON: named(**examples)}}}


def rows_answer(description: str, **examples: Any) -> Answer:
    """A JSON answer to a request with parameters and rows."""
    answer = json_answer(description, **examples)
    answer[200]["headers"] |= _ROW_HEADERS
    return answer


def vector_answer(description: str, **examples: Any) -> Answer:
    """A JSON answer, or one of the binary formats that `Accept` can choose."""
    answer = rows_answer(description, **examples)
    answer[200]["headers"] |= {"x-scaling-factor": _SCALE}
    answer[200]["content"] |= dict.fromkeys(FORMATS, BINARY)
    return answer


def picture_answer(description: str, *media_types: str) -> Answer:
    """A file of one of the media types; the first one is the default."""
    headers = {**_REQUEST_ID, "x-ignored-params": _ROW_HEADERS["x-ignored-params"], "x-frames": _FRAMES}
    return {200: {"description": description, "headers": headers, "content": dict.fromkeys(media_types, BINARY)}}


def metrics_answer() -> Answer:
    """Text for Prometheus, in one of its two formats."""
    lines = "# HELP medimageinsight_ready 1 if requests are served, otherwise 0.\n# TYPE medimageinsight_ready gauge\n"
    example = {"schema": {"type": "string"}, "example": f"{lines}medimageinsight_ready 1.0\n"}
    content = {"text/plain": example, "application/openmetrics-text": {"schema": {"type": "string"}}}
    return {200: {"description": "All metrics.", "content": content}}
