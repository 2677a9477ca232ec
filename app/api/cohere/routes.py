"""Routes of Cohere's embed API, and of MedImageInsight Premium, which has the same schema."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.bodies.json_body import read_json
from app.api.cohere.schema import EmbedByTypeResponse, parse_embed, vectors_as
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation import operations
from app.api.execution import execute
from app.api.responses import count_headers, json_response
from app.middleware.request_context import RequestContext

router = APIRouter(tags=["Cohere"])
_DESCRIPTION = "One vector per text, image or input, in their order, in each of the `embedding_types`."
_EXAMPLES = {
    "texts": {"model": "medimageinsight", "texts": [operations.EXAMPLE_TEXT]},
    "image": {
        "model": "medimageinsight",
        "images": [f"data:image/png;base64,{operations.EXAMPLE_IMAGE}"],
        "embedding_types": ["float", "ubinary"],
    },
}


def _documented(summary: str) -> dict[str, Any]:
    return operations.json_route(summary, "EmbedByTypeRequest", EmbedByTypeResponse, _DESCRIPTION, **_EXAMPLES)


@router.post("/v2/embed", **_documented("Embed texts or images (Cohere's schema)"))
@router.post("/providers/microsoft/v2/embed", **_documented("Embed texts or images (MedImageInsight Premium's name)"))
async def embed_by_type(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed texts, or images as `data:` URIs or allowed URLs. One model is served, whatever `model` says."""
    engine = model.engine
    job, types = parse_embed(
        await read_json(request, service.settings),
        max_rows=service.settings.max_rows,
        embedding_size=engine.embedding_size,
        context_length=engine.config.text.context_length,
    )
    result = await execute(request, service, model, job)
    features = result.in_row_order
    content = {
        "id": RequestContext.of(request.scope).request_id,
        "embeddings": {name: vectors_as(name, features) for name in types},
        "texts": [item.payload for item in job.texts],
        "images": [],
        "meta": {"api_version": {"version": "2"}, "tokens": {"input_tokens": result.tokens}},
        "response_type": "embeddings_by_type",
    }
    return await json_response(content, request.headers, count_headers(result))
