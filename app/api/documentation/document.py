"""The OpenAPI document of the application, and the Swagger 2.0 document that Azure clients read."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from app.api.azure.schema import EmbedRequest, ErrorBody, TextsRequest
from app.api.classify.schema import ClassifyRequest
from app.api.cohere.schema import EmbedByTypeRequest
from app.api.documentation.operations import REF_TEMPLATE, reference
from app.api.lion_ai.schema import EncodeRequest, PredictRequest
from app.api.mlflow.schema import RecordsRequest, SplitRequest
from app.api.openai.schema import EmbeddingsRequest
from app.api.render.schema import RenderRequest
from app.api.similarity.schema import SimilarityRequest

TITLE = "MedImageInsight Server"
RESEARCH_NOTICE = "Research software. Not a medical device, not for clinical use."
DEMONSTRATION_NOTICE = (
    "This server runs the demonstration model, not MedImageInsight; the setting MODEL selects the model."
)
DESCRIPTION = (
    "Embeddings of medical images and texts in one space, with the schema of the Azure endpoint of MedImageInsight.\n\n"
    f"**{RESEARCH_NOTICE}**"
)
# Models that no route names to FastAPI.
_MODELS = (
    EmbedRequest,
    TextsRequest,
    SplitRequest,
    RecordsRequest,
    EmbeddingsRequest,
    EmbedByTypeRequest,
    PredictRequest,
    EncodeRequest,
    RenderRequest,
    ClassifyRequest,
    SimilarityRequest,
    ErrorBody,
)
_SWAGGER_2_FILE = Path(__file__).with_name("swagger_2.json")


def document(
    app: FastAPI, version: str, is_demonstration: Callable[[], bool], needs_key: Callable[[str], bool]
) -> None:
    """Replace the `openapi` method of an application, so that its document is complete.

    FastAPI does not see the request bodies, because the routes parse them themselves.

    Args:
        app: the application.
        version: version of the service.
        is_demonstration: whether the demonstration model is served; called for each document, because the model is
            loaded after the application is created.
        needs_key: whether a path is closed without an API key; these paths are documented so.
    """

    def build() -> dict[str, Any]:
        if not app.openapi_schema:
            _, definitions = models_json_schema([(model, "validation") for model in _MODELS], ref_template=REF_TEMPLATE)
            schema = get_openapi(title=TITLE, version=version, description=DESCRIPTION, routes=app.routes)
            schema["components"]["schemas"] |= definitions["$defs"]
            if closed := [path for path in schema["paths"] if needs_key(path)]:
                _require_key(schema, closed)
            app.openapi_schema = schema
        description = f"{DESCRIPTION}\n\n**{DEMONSTRATION_NOTICE}**" if is_demonstration() else DESCRIPTION
        return app.openapi_schema | {"info": app.openapi_schema["info"] | {"description": description}}

    app.openapi = build  # type: ignore[method-assign]  # FastAPI's documented way


def swagger_2(version: str) -> dict[str, Any]:
    """The Swagger 2.0 document that clients of the Azure endpoint read; it describes `GET /` and `POST /score`."""
    document = _swagger_2_without_version()
    return document | {"info": document["info"] | {"version": version}}


@cache
def _swagger_2_without_version() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_SWAGGER_2_FILE.read_text(encoding="utf-8"))
    return document


def _require_key(schema: dict[str, Any], paths: Sequence[str]) -> None:
    """Document the API keys, and the errors without a valid key, for all operations of these paths."""
    schema["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    error = {"application/json": {"schema": reference("ErrorBody")}}
    for path in paths:
        for operation in schema["paths"][path].values():
            operation["security"] = [{"bearer": []}, {"header": []}]
            operation["responses"] |= {
                "401": {"description": "The request has no API key.", "content": error},
                "403": {"description": "The API key is not accepted.", "content": error},
            }
