"""What the documentation pages say of the request bodies, the answers and the refusals."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from app.api.azure.schema import (
    EmbeddingColumns,
    EmbeddingRow,
    EmbedRequest,
    ErrorBody,
    TextsRequest,
)
from app.api.mlflow.schema import Predictions, RecordsRequest, SplitRequest
from app.api.openai.schema import EmbeddingsRequest
from app.middleware.api_keys import OPEN_ROUTES

TITLE = "MedImageInsight Server"
RESEARCH_NOTICE = "Research software. Not a medical device, not for clinical use."
DEMONSTRATION_NOTICE = (
    "The embedded demonstration model is served here, not MedImageInsight itself: the setting MODEL names that."
)
DESCRIPTION = (
    "Medical images and texts to embeddings in one space, in the schema of the Azure endpoint of MedImageInsight.\n\n"
    f"**{RESEARCH_NOTICE}**"
)
# A 16 x 16 greyscale PNG of a bright disc, so that "Try it out" sends a request that works.
EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAlklEQVR42mWPIQ7GIAyFOcQSdMUSBAKJQCIqZtE1aNQUCsUJkFwB"
    "zQF2A66xS/xbpv70JU1evqTte2J7JEFprUC+XjwDxnlE7wx8YLcYKEYKaPcXgD0o5VJyosPCJqRBOmvrvdWT0EgBLqTax5yj1xQc"
    "COUpt3GtdY2WySuhMZY+132v2UtEzQFbYUfZWxaMR+fl/uv/AGyiV11rOBzfAAAAAElFTkSuQmCC"
)
EXAMPLE_TEXT = "x-ray chest anteroposterior Cardiomegaly"
READ_BY_HAND = (EmbedRequest, TextsRequest, SplitRequest, RecordsRequest, EmbeddingsRequest)
_REF = "#/components/schemas/{model}"
_REFUSALS = {
    400: "The body or a row of it is wrong; the message says where.",
    408: "The body did not arrive in time.",
    413: "The body, its rows, or an image's pixels are over the limit.",
    415: "The content type or the image format is not accepted.",
    429: "The queue has no room for the whole request; nothing of it was done.",
    431: "A request id is longer than 100 characters.",
    500: "A fault of the service.",
    503: "The model is being loaded, the service is stopping, or the device failed.",
    504: "The deadline passed; the rest of the request was dropped.",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
_IDS = {"x-request-id": {"description": "Echoed, or made.", "schema": {"type": "string"}}}


NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not ready; the message says why.", "model": ErrorBody}
}
MODEL_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "Another model is served.", "model": ErrorBody}}


def _ref(model: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=model)}


def _table(columns: list[str], *rows: list[str]) -> dict[str, Any]:
    table = {"columns": columns, "index": list(range(len(rows))), "data": list(rows)}
    return {"input_data": table, "params": {"get_scaling_factor": True}}


def _json(schema: Mapping[str, Any], **examples: Any) -> dict[str, Any]:
    return {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
_TEXTS = {"description": "texts, as many fields as there are; the first is of the first file"}  # a form knows no types
TABLE_BODY: dict[str, Any] = {
    "application/json": _json(
        _ref("EmbedRequest"),
        image_and_text=_table(["image", "text"], [EXAMPLE_IMAGE, EXAMPLE_TEXT]),
        texts=_table(["text"], [EXAMPLE_TEXT], ["x-ray chest anteroposterior No Finding"]),
    ),
    "multipart/form-data": {"schema": {"type": "object", "properties": {"files": _FILES, "text": _TEXTS}}},
}
_SPLIT = {"dataframe_split": {"columns": ["text"], "data": [[EXAMPLE_TEXT]]}}
INVOCATION_BODY: dict[str, Any] = TABLE_BODY | {
    "application/json": _json(
        {"anyOf": [_ref("EmbedRequest"), _ref("SplitRequest"), _ref("RecordsRequest")]},
        image_and_text=_table(["image", "text"], [EXAMPLE_IMAGE, EXAMPLE_TEXT]),
        mlflow=_SPLIT,
    )
}
IMAGE_BODY: dict[str, Any] = {
    "application/json": _json(_ref("EmbedRequest"), image=_table(["image"], [EXAMPLE_IMAGE])),
    "image/*": _BINARY,
    "application/dicom": _BINARY,
    "application/octet-stream": _BINARY,
    "multipart/form-data": {"schema": {"type": "object", "properties": {"files": _FILES}}},
}
TEXT_BODY: dict[str, Any] = {
    "application/json": _json(
        {"anyOf": [_ref("EmbedRequest"), _ref("TextsRequest")]},
        texts={"texts": [EXAMPLE_TEXT]},
        table=_table(["text"], [EXAMPLE_TEXT]),
    ),
    "text/plain": {"schema": {"type": "string"}, "example": EXAMPLE_TEXT},
}


def embedding_route(summary: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a route that embeds."""
    refusals: dict[int | str, dict[str, Any]] = {
        status: {
            "description": why,
            "model": ErrorBody,
            "headers": _IDS | (_RETRY_AFTER if status in (429, 503) else {}),
        }
        for status, why in _REFUSALS.items()
    }
    return {
        "summary": summary,
        "response_model": list[EmbeddingRow] | EmbeddingColumns,
        "response_description": "One object a row, in their order (`params.layout` chooses other shapes).",
        "responses": refusals,
        "openapi_extra": {"requestBody": {"required": True, "content": dict(content)}},
    }


def invocations_route() -> dict[str, Any]:
    """Keyword arguments of the route that MLflow and SageMaker know."""
    route = embedding_route("Embed images and texts (SageMaker's and MLflow's name)", INVOCATION_BODY)
    return route | {"response_model": list[EmbeddingRow] | EmbeddingColumns | Predictions}


def openai_route(response_model: Any) -> dict[str, Any]:
    """Keyword arguments of the route of OpenAI's embeddings."""
    body = _json(
        _ref("EmbeddingsRequest"),
        texts={"model": "medimageinsight", "input": [EXAMPLE_TEXT]},
        image={"model": "medimageinsight", "input": [f"data:image/png;base64,{EXAMPLE_IMAGE}"]},
    )
    route = embedding_route("Embed texts and images (OpenAI's schema)", {"application/json": body})
    return route | {"response_model": response_model, "response_description": "One object an input, in their order."}


def _require_key(schema: dict[str, Any]) -> None:
    """Document the keys, and the refusals without one, of all operations that are not open."""
    schema["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    error = {"application/json": {"schema": _ref("ErrorBody")}}
    for path, operations in schema["paths"].items():
        if path in OPEN_ROUTES:
            continue
        for operation in operations.values():
            operation["security"] = [{"bearer": []}, {"header": []}]
            operation["responses"] |= {
                "401": {"description": "No key was sent.", "content": error},
                "403": {"description": "The key is not accepted.", "content": error},
            }


def document(app: FastAPI, version: str, is_demonstration: Callable[[], bool], *, needs_key: bool = False) -> None:
    """Make the app's OpenAPI document hold what its handlers read by hand, and say what is served."""

    def build() -> dict[str, Any]:
        if not app.openapi_schema:
            _, definitions = models_json_schema([(model, "validation") for model in READ_BY_HAND], ref_template=_REF)
            schema = get_openapi(title=TITLE, version=version, description=DESCRIPTION, routes=app.routes)
            schema["components"]["schemas"] |= definitions["$defs"]
            if needs_key:
                _require_key(schema)
            app.openapi_schema = schema
        description = f"{DESCRIPTION}\n\n**{DEMONSTRATION_NOTICE}**" if is_demonstration() else DESCRIPTION
        return app.openapi_schema | {"info": app.openapi_schema["info"] | {"description": description}}

    app.openapi = build  # type: ignore[method-assign]  # FastAPI's documented way


def swagger_2(version: str) -> dict[str, Any]:
    """What clients of the Azure endpoint read of it: liveness and scoring, as a Swagger 2.0 document."""
    example = _table(["image", "text"], [EXAMPLE_IMAGE, EXAMPLE_TEXT])
    vectors = {"type": "array", "items": {"type": "array", "items": {"type": "number", "format": "float"}}}
    row = {
        "type": "object",
        "properties": {
            "image_features": vectors,
            "text_features": vectors,
            "scaling_factor": {"type": "number", "format": "double"},
        },
    }
    error = {"description": "Refused; the message says why.", "schema": {"$ref": "#/definitions/ErrorResponse"}}
    scored = {"description": "One object a row.", "schema": {"$ref": "#/definitions/ServiceOutput"}}
    body = {"name": "serviceInputPayload", "in": "body", "schema": {"$ref": "#/definitions/ServiceInput"}}
    return {
        "swagger": "2.0",
        "info": {"title": TITLE, "description": DESCRIPTION, "version": version},
        "schemes": ["http", "https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": {
            "/": {
                "get": {
                    "operationId": "ServiceHealthCheck",
                    "produces": ["text/html"],
                    "responses": {"200": {"description": "Healthy", "schema": {"type": "string"}}},
                }
            },
            "/score": {
                "post": {
                    "operationId": "RunMLService",
                    "parameters": [body],
                    "responses": {"200": scored, "default": error},
                }
            },
        },
        "definitions": {
            "ServiceInput": {"type": "object", "example": example},
            "ServiceOutput": {"type": "array", "items": row},
            "ErrorResponse": {
                "type": "object",
                "properties": {"message": {"type": "string"}, "code": {"type": "string"}},
            },
        },
    }
