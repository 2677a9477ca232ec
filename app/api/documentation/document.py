"""The OpenAPI document of the application, and the Swagger 2.0 document that Azure clients read."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from app.api.azure.schema import EmbedRequest, ErrorBody, TextsRequest
from app.api.classify.schema import ClassifyRequest
from app.api.cohere.schema import EmbedByTypeRequest
from app.api.documentation.bodies import REF_TEMPLATE
from app.api.documentation.errors import ERROR_REFERENCES, ERRORS
from app.api.documentation.pages import serve_redoc_without_logo
from app.api.documentation.tags import TAGS
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
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
_SWAGGER_2_FILE = Path(__file__).with_name("swagger_2.json")


def operation_id(route: APIRoute) -> str:
    """The id of an operation, from which clients make the name of its function: the name of the route's function."""
    return route.name


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
            app.openapi_schema = _complete(
                get_openapi(title=TITLE, version=version, description=DESCRIPTION, routes=app.routes, tags=TAGS),
                needs_key,
            )
        description = f"{DESCRIPTION}\n\n**{DEMONSTRATION_NOTICE}**" if is_demonstration() else DESCRIPTION
        return app.openapi_schema | {"info": app.openapi_schema["info"] | {"description": description}}

    app.openapi = build  # type: ignore[method-assign]  # FastAPI's documented way
    app.swagger_ui_parameters = {"defaultModelsExpandDepth": 0}  # the list of all schemas is folded
    serve_redoc_without_logo(app)


def _complete(schema: dict[str, Any], needs_key: Callable[[str], bool]) -> dict[str, Any]:
    """The document of FastAPI with the models that no route names, the errors, and the API keys."""
    components = schema["components"]
    _, definitions = models_json_schema([(model, "validation") for model in _MODELS], ref_template=REF_TEMPLATE)
    components["schemas"] |= definitions["$defs"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of an error, which is never answered
        components["schemas"].pop(name, None)
    components["responses"] = ERRORS
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            operation["responses"] = {"200": operation["responses"]["200"], **ERROR_REFERENCES}
            if needs_key(path):
                operation["security"] = [{name: []} for name in _KEYS]
                components["securitySchemes"] = _KEYS
    return schema


def swagger_2(version: str) -> dict[str, Any]:
    """The Swagger 2.0 document that clients of the Azure endpoint read; it describes `GET /` and `POST /score`."""
    document = _swagger_2_without_version()
    return document | {"info": document["info"] | {"version": version}}


@cache
def _swagger_2_without_version() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_SWAGGER_2_FILE.read_text(encoding="utf-8"))
    return document
