"""Routes of Cohere's embed API, and of MedImageInsight Premium, which has the same schema."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.bodies.json_body import read_json
from app.api.cohere.schema import EmbedByTypeResponse, parse_embed, vectors_as
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation.answers import rows_answer
from app.api.documentation.examples import EXAMPLE_IMAGE, EXAMPLE_TEXT, EXAMPLE_VECTOR
from app.api.documentation.operations import json_route
from app.api.execution import execute
from app.api.request_parsing import ignoring_query
from app.api.responses import count_headers, ignored_header, json_response
from app.middleware.request_context import RequestContext

router = APIRouter(tags=["Cohere"])
_EXAMPLES = {
    "texts": {"model": "medimageinsight", "texts": [EXAMPLE_TEXT]},
    "image": {
        "model": "medimageinsight",
        "images": [f"data:image/png;base64,{EXAMPLE_IMAGE}"],
        "embedding_types": ["float", "ubinary"],
    },
}


_ANSWER = rows_answer(
    "One vector per text, image or input, in their order, in each of the `embedding_types`.",
    texts={
        "id": "5f0c7a4e-8a1c-4a67-9d2b-2f4d8c0f6a55",
        "embeddings": {"float": [EXAMPLE_VECTOR]},
        "texts": [EXAMPLE_TEXT],
        "images": [],
        "meta": {"api_version": {"version": "2"}, "tokens": {"input_tokens": 12}},
        "response_type": "embeddings_by_type",
    },
)


def _documented(operation_id: str, whose: str) -> dict[str, Any]:
    summary = f"Embed texts or images ({whose})"
    route = json_route(summary, "EmbedByTypeRequest", EmbedByTypeResponse, _ANSWER, **_EXAMPLES)
    return route | {"operation_id": operation_id}


@router.post("/providers/microsoft/v2/embed", **_documented("premium_embed", "MedImageInsight Premium's name"))
@router.post("/v2/embed", **_documented("cohere_embed", "Cohere's schema"))
async def embed_by_type(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed texts, or images as `data:` URIs or allowed URLs. One model is served, whatever `model` says."""
    engine = model.engine
    job, types = parse_embed(
        await read_json(request, service.settings),
        max_rows=service.settings.max_rows,
        embedding_size=engine.embedding_size,
        context_length=engine.config.text.context_length,
    )
    result = await execute(request, service, model, ignoring_query(job, request))
    features = result.in_row_order
    content = {
        "id": RequestContext.of(request.scope).request_id,
        "embeddings": {name: vectors_as(name, features) for name in types},
        "texts": [item.payload for item in job.texts],
        "images": [],
        "meta": {"api_version": {"version": "2"}, "tokens": {"input_tokens": result.tokens}},
        "response_type": "embeddings_by_type",
    }
    sent = ignored_header(result.job.ignored_params) | count_headers(result)
    return await json_response(content, request.headers, sent)
