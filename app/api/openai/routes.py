"""The OpenAI embeddings API, for the clients that know no other."""

import asyncio
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api import openapi
from app.api.dependencies import ServiceDependency
from app.api.execution import embeddings_of
from app.api.openai.schema import EmbeddingList, ModelCard, ModelList, parse_embeddings
from app.api.output_formats import JSON, base64_text
from app.api.params import Params
from app.api.request_parsing import EmbedJob, read_json
from app.api.response_compression import deflated
from app.errors import ModelUnknown
from app.inference.preprocessor import Item
from app.service import Service

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post("/embeddings", **openapi.openai_route(EmbeddingList))
async def embeddings(request: Request, service: ServiceDependency) -> Response:
    """Embed texts, and images as `data:` URIs or allowed URLs. One model is served, whatever `model` says."""
    loaded, pipeline = service.ready_pipeline()
    size, max_rows = loaded.engine.embedding_size, service.settings.max_rows
    rows, encoding = parse_embeddings(await read_json(request), max_rows=max_rows, embedding_size=size)
    images = [Item(number, row.image) for number, row in enumerate(rows) if row.image is not None]
    texts = [Item(number, row.text) for number, row in enumerate(rows) if row.text is not None]
    work = EmbedJob(len(rows), images, texts, Params())
    _, image_features, text_features = await embeddings_of(request, service, work)
    vectors = dict(zip([item.row for item in (*images, *texts)], [*image_features, *text_features], strict=True))
    tokens = await asyncio.to_thread(lambda: sum(len(pipeline.engine.tokenize(str(item.value))) for item in texts))
    content = {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": number,
                "embedding": base64_text(vectors[number]) if encoding == "base64" else vectors[number],
            }
            for number in range(len(rows))
        ],
        "model": loaded.engine.release.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    headers: dict[str, str] = {}
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(await deflated(body, request.headers.get("accept-encoding", ""), headers), 200, headers, JSON)


@router.get("/models", response_model=ModelList, responses=openapi.NOT_READY)
async def models(service: ServiceDependency) -> Any:
    """The one model that is served."""
    return {"object": "list", "data": [_card(service)]}


@router.get("/models/{name:path}", response_model=ModelCard, responses=openapi.NOT_READY | openapi.MODEL_UNKNOWN)
async def model(name: str, service: ServiceDependency) -> Any:
    """The model, if it has this name."""
    card = _card(service)
    if name != card["id"]:
        raise ModelUnknown("No model of this name is served; GET /v1/models names the one that is.")
    return card


def _card(service: Service) -> dict[str, Any]:
    loaded, _ = service.ready_pipeline()
    release = loaded.engine.release
    created = int(release.weights.stat().st_mtime)
    return {"id": release.name, "object": "model", "created": created, "owned_by": "medimageinsight-server"}
