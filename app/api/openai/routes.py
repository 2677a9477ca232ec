"""Routes of the OpenAI embeddings API."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.bodies.json_body import read_json
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation.answers import json_answer, rows_answer
from app.api.documentation.examples import EXAMPLE_IMAGE, EXAMPLE_TEXT, EXAMPLE_VECTOR
from app.api.documentation.operations import json_route
from app.api.execution import JobResult, execute
from app.api.openai.schema import EmbeddingList, ModelCard, ModelList, parse_embeddings
from app.api.output_formats import base64_text
from app.api.request_parsing import ignoring_query
from app.api.responses import count_headers, ignored_header, json_response
from app.errors import ModelUnknown
from app.service import ReadyModel

router = APIRouter(prefix="/v1", tags=["OpenAI"])
_CARD = {"id": "2024.09.27", "object": "model", "created": 1727395200, "owned_by": "medimageinsight-server"}
_LIST = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": EXAMPLE_VECTOR}],
    "model": "2024.09.27",
    "usage": {"prompt_tokens": 12, "total_tokens": 12},
}


@router.post(
    "/embeddings",
    **json_route(
        "Embed texts and images (OpenAI's schema)",
        "EmbeddingsRequest",
        EmbeddingList,
        rows_answer("One object per input, in the order of the inputs.", one_text=_LIST),
        texts={"model": "medimageinsight", "input": [EXAMPLE_TEXT]},
        image={"model": "medimageinsight", "input": [f"data:image/png;base64,{EXAMPLE_IMAGE}"]},
    ),
)
async def embeddings(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed texts, and images as `data:` URIs or allowed URLs. One model is served, whatever `model` says."""
    engine = model.engine
    document = await read_json(request, service.settings)
    job = parse_embeddings(document, max_rows=service.settings.max_rows, embedding_size=engine.embedding_size)
    result = await execute(request, service, model, ignoring_query(job, request))
    content = {
        "object": "list",
        "data": _embedding_objects(result),
        "model": engine.release.name,
        "usage": {"prompt_tokens": result.tokens, "total_tokens": result.tokens},
    }
    sent = ignored_header(result.job.ignored_params) | count_headers(result)
    return await json_response(content, request.headers, sent)


@router.get(
    "/models",
    response_model=ModelList,
    summary="List the model that is served (OpenAI's schema)",
    responses=json_answer("A list of one model.", one_model={"object": "list", "data": [_CARD]}),
)
async def models(model: ModelDependency) -> Any:
    """List the one model that is served."""
    return {"object": "list", "data": [_card(model)]}


@router.get(
    "/models/{name:path}",
    response_model=ModelCard,
    summary="Describe the model that is served (OpenAI's schema)",
    responses=json_answer("The model.", the_model=_CARD),
)
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
