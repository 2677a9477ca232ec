"""Routes of the OpenAI embeddings API."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.bodies.json_body import read_json
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation import operations
from app.api.execution import JobResult, execute
from app.api.openai.schema import EmbeddingList, ModelCard, ModelList, parse_embeddings
from app.api.output_formats import base64_text
from app.api.responses import count_headers, json_response
from app.errors import ModelUnknown
from app.service import ReadyModel

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post("/embeddings", **operations.openai_route(EmbeddingList))
async def embeddings(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed texts, and images as `data:` URIs or allowed URLs. One model is served, whatever `model` says."""
    engine = model.engine
    document = await read_json(request, service.settings)
    job = parse_embeddings(document, max_rows=service.settings.max_rows, embedding_size=engine.embedding_size)
    result = await execute(request, service, model, job)
    content = {
        "object": "list",
        "data": _embedding_objects(result),
        "model": engine.release.name,
        "usage": {"prompt_tokens": result.tokens, "total_tokens": result.tokens},
    }
    return await json_response(content, request.headers, count_headers(result))


@router.get("/models", response_model=ModelList, responses=operations.NOT_READY)
async def models(model: ModelDependency) -> Any:
    """List the one model that is served."""
    return {"object": "list", "data": [_card(model)]}


@router.get("/models/{name:path}", response_model=ModelCard, responses=operations.NOT_READY | operations.MODEL_UNKNOWN)
async def model_card(name: str, model: ModelDependency) -> Any:
    """Describe the model that is served, if it has this name."""
    card = _card(model)
    if name != card["id"]:
        raise ModelUnknown("No model of this name is served; GET /v1/models names the one that is.")
    return card


def _embedding_objects(result: JobResult) -> list[dict[str, Any]]:
    is_base64 = result.job.params.encoding_format == "base64"
    return [
        {"object": "embedding", "index": row, "embedding": base64_text(vector) if is_base64 else vector}
        for row, vector in enumerate(result.in_row_order)
    ]


def _card(model: ReadyModel) -> dict[str, Any]:
    release = model.engine.release
    created = int(release.weights.stat().st_mtime)
    return {"id": release.name, "object": "model", "created": created, "owned_by": "medimageinsight-server"}
