"""Routes in the schema of the Azure endpoint, with shorter forms for images or texts on their own."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.classify.default_head import classify_or_embed
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation import operations
from app.api.request_parsing import read_images, read_table, read_texts
from app.api.responses import answer_job

router = APIRouter(tags=["embeddings"])


@router.post("/embed", **operations.embedding_route("Embed images and texts", operations.TABLE_BODY))
async def embed(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed the rows of a table in the Azure endpoint's schema. The answer has one object per row, in their order."""
    return await answer_job(request, service, model, await read_table(request, service.settings))


@router.post("/score", **operations.score_route())
async def score(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed as `/embed` does. If a classification model of Azure is served, rows of images get labels and scores."""
    return await classify_or_embed(request, service, model, await read_table(request, service.settings))


@router.post("/embed/image", **operations.embedding_route("Embed images", operations.IMAGE_BODY))
async def embed_image(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed images: a table with an `image` column, one raw image as the body, or a form with image files."""
    return await answer_job(request, service, model, await read_images(request, service.settings))


@router.post("/embed/text", **operations.embedding_route("Embed texts", operations.TEXT_BODY))
async def embed_text(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed texts: a table with a `text` column, `{"texts": [...]}`, or one plain text."""
    return await answer_job(request, service, model, await read_texts(request, service.settings))
