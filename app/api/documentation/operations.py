"""Documentation of single operations: request bodies with examples, answers and errors."""

from collections.abc import Mapping
from typing import Any

from app.api.azure.schema import EmbeddingColumns, EmbeddingRow, ErrorBody
from app.api.classify.schema import FailedRow, LabelScore
from app.api.mlflow.schema import Predictions

REF_TEMPLATE = "#/components/schemas/{model}"
# A greyscale PNG of 16 x 16 pixels, so that "Try it out" on the documentation page sends a valid request.
EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAlklEQVR42mWPIQ7GIAyFOcQSdMUSBAKJQCIqZtE1aNQUCsUJkFwB"
    "zQF2A66xS/xbpv70JU1evqTte2J7JEFprUC+XjwDxnlE7wx8YLcYKEYKaPcXgD0o5VJyosPCJqRBOmvrvdWT0EgBLqTax5yj1xQc"
    "COUpt3GtdY2WySuhMZY+132v2UtEzQFbYUfZWxaMR+fl/uv/AGyiV11rOBzfAAAAAElFTkSuQmCC"
)
EXAMPLE_TEXT = "x-ray chest anteroposterior Cardiomegaly"
_EXAMPLE_PARAMS = {"get_scaling_factor": True}
_ERRORS = {
    400: "The request is not HTTP/1.1, or its body or one of its rows is wrong; the message says where.",
    408: "The headers or the body did not arrive in time.",
    413: "The body, the number of its rows, a text, the pixels of an image, or the cost of decoding it exceed a limit.",
    415: "The content type or the image format is not accepted.",
    429: "The queue has no room for the whole request; nothing of it was computed.",
    431: "The headers are too large, or a request id is longer than 100 characters.",
    500: "The service failed.",
    503: "The model is being loaded, the service is stopping, the device or decoders do not answer, or memory is out.",
    504: "The deadline passed; the remaining computation was dropped.",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
_REQUEST_ID = {
    "x-request-id": {"description": "Request id: the client's own, or a new one.", "schema": {"type": "string"}}
}
_FRAMES = {
    "x-frames": {
        "description": "Number of frames or pages that `frame` can choose, or of slices of a volume across `axis`.",
        "schema": {"type": "integer", "minimum": 1},
    }
}

NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "The service is not ready; the message says why.", "model": ErrorBody}
}
MODEL_UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"description": "The service has no model of this name.", "model": ErrorBody}
}
HEAD_UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"description": "No head of this name is loaded; the message names those that are.", "model": ErrorBody}
}


def reference(model: str) -> dict[str, str]:
    """A JSON reference to the schema of a model."""
    return {"$ref": REF_TEMPLATE.format(model=model)}


def _table(columns: list[str], *rows: list[str], params: Mapping[str, Any] = _EXAMPLE_PARAMS) -> dict[str, Any]:
    table = {"columns": columns, "index": list(range(len(rows))), "data": list(rows)}
    return {"input_data": table, "params": dict(params)}


def _json(schema: Mapping[str, Any], **examples: Any) -> dict[str, Any]:
    return {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
# Fields of a form have no types, so that the schema has only a description.
_TEXTS = {"description": "text; repeat the field for more texts; the first text belongs to the first file"}
TABLE_BODY: dict[str, Any] = {
    "application/json": _json(
        reference("EmbedRequest"),
        image_and_text=_table(["image", "text"], [EXAMPLE_IMAGE, EXAMPLE_TEXT]),
        texts=_table(["text"], [EXAMPLE_TEXT], ["x-ray chest anteroposterior No Finding"]),
    ),
    "multipart/form-data": {"schema": {"type": "object", "properties": {"files": _FILES, "text": _TEXTS}}},
}
_SPLIT = {"dataframe_split": {"columns": ["text"], "data": [[EXAMPLE_TEXT]]}}
INVOCATION_BODY: dict[str, Any] = TABLE_BODY | {
    "application/json": _json(
        {"anyOf": [reference("EmbedRequest"), reference("SplitRequest"), reference("RecordsRequest")]},
        image_and_text=_table(["image", "text"], [EXAMPLE_IMAGE, EXAMPLE_TEXT]),
        mlflow=_SPLIT,
    )
}
IMAGE_BODY: dict[str, Any] = {
    "application/json": _json(reference("EmbedRequest"), image=_table(["image"], [EXAMPLE_IMAGE])),
    "image/*": _BINARY,
    "application/dicom": _BINARY,
    "application/octet-stream": _BINARY,
    "multipart/form-data": {"schema": {"type": "object", "properties": {"files": _FILES}}},
}
TEXT_BODY: dict[str, Any] = {
    "application/json": _json(
        {"anyOf": [reference("EmbedRequest"), reference("TextsRequest")]},
        texts={"texts": [EXAMPLE_TEXT]},
        table=_table(["text"], [EXAMPLE_TEXT]),
    ),
    "text/plain": {"schema": {"type": "string"}, "example": EXAMPLE_TEXT},
}


def embedding_route(summary: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a route that embeds.

    Args:
        summary: one line about the route.
        content: the request body per content type, for example `TABLE_BODY`.
    """
    return {
        "summary": summary,
        "response_model": list[EmbeddingRow] | EmbeddingColumns,
        "response_description": "One object per row, in the order of the rows; `params.layout` selects other layouts.",
        "responses": _error_responses(),
        "openapi_extra": {"requestBody": {"required": True, "content": dict(content)}},
    }


def _error_responses() -> dict[int | str, dict[str, Any]]:
    return {
        status: {
            "description": description,
            "content": {"application/json": {"schema": reference("ErrorBody")}},
            "headers": _REQUEST_ID | (_RETRY_AFTER if status in (429, 503) else {}),
        }
        for status, description in _ERRORS.items()
    }


def render_route() -> dict[str, Any]:
    """Keyword arguments of the route that answers a picture."""
    example = _table(["image"], [EXAMPLE_IMAGE], params={"standardized": True})
    body = IMAGE_BODY | {
        "application/json": _json(reference("RenderRequest"), image=example),
        "multipart/form-data": {"schema": {"type": "object", "properties": {"file": _BINARY["schema"]}}},
    }
    picture = {"description": "The picture as a PNG file.", "content": {"image/png": _BINARY}, "headers": _FRAMES}
    return {
        "summary": "Show what the image encoder gets",
        "responses": {200: picture, **_error_responses()},
        "openapi_extra": {"requestBody": {"required": True, "content": body}},
    }


def score_route() -> dict[str, Any]:
    """Keyword arguments of the route `/score`, which Azure uses."""
    route = embedding_route("Embed images and texts (Azure's name)", TABLE_BODY)
    return route | {"response_model": route["response_model"] | list[list[LabelScore] | FailedRow]}


def invocations_route() -> dict[str, Any]:
    """Keyword arguments of the route `/invocations`, which MLflow and SageMaker use."""
    route = embedding_route("Embed images and texts (SageMaker's and MLflow's name)", INVOCATION_BODY)
    return route | {"response_model": route["response_model"] | list[list[LabelScore] | FailedRow] | Predictions}


def json_route(
    summary: str, request_model: str, response_model: Any, response_description: str, **examples: Any
) -> dict[str, Any]:
    """Keyword arguments of a route that embeds the items of one JSON body.

    Args:
        summary: one line about the route.
        request_model: name of the pydantic model of the body, which `document._MODELS` holds.
        response_model: pydantic model of the answer.
        response_description: one sentence about the answer.
        examples: bodies that the route answers with 200, by name.
    """
    content = {"application/json": _json(reference(request_model), **examples)}
    return embedding_route(summary, content) | {
        "response_model": response_model,
        "response_description": response_description,
    }


def image_route(
    summary: str, request_model: str, response_model: Any, response_description: str, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Keyword arguments of a route that takes images in every form of `/embed/image`, and answers something else.

    Args:
        summary: one line about the route.
        request_model: name of the pydantic model of a JSON body, which `document._MODELS` holds.
        response_model: pydantic model of the answer.
        response_description: one sentence about the answer.
        params: parameters of the example.
    """
    example = _table(["image"], [EXAMPLE_IMAGE], params=params)
    content = IMAGE_BODY | {"application/json": _json(reference(request_model), image=example)}
    return embedding_route(summary, content) | {
        "response_model": response_model,
        "response_description": response_description,
    }


def openai_route(response_model: Any) -> dict[str, Any]:
    """Keyword arguments of the route of embeddings in OpenAI's schema.

    Args:
        response_model: pydantic model of the answer.
    """
    return json_route(
        "Embed texts and images (OpenAI's schema)",
        "EmbeddingsRequest",
        response_model,
        "One object per input, in the order of the inputs.",
        texts={"model": "medimageinsight", "input": [EXAMPLE_TEXT]},
        image={"model": "medimageinsight", "input": [f"data:image/png;base64,{EXAMPLE_IMAGE}"]},
    )
