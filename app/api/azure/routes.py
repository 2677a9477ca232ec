"""The routes that embed, in the Azure endpoint's schema and in plainer ones."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api import openapi
from app.api.azure.schema import COLUMNS
from app.api.dependencies import ServiceDependency
from app.api.execution import embeddings_of
from app.api.request_parsing import EmbedJob, read_images, read_table, read_texts
from app.api.responses import check_layout, embedding_response
from app.service import Service

router = APIRouter(tags=["embeddings"])


@router.post("/embed", **openapi.embedding_route("Embed images and texts", openapi.TABLE_BODY))
@router.post("/score", **openapi.embedding_route("Embed images and texts (Azure's name)", openapi.TABLE_BODY))
async def embed(request: Request, service: ServiceDependency) -> Response:
    """Embed the rows of a table in the Azure endpoint's schema; the answer has one object a row, in their order."""
    service.ready_pipeline()
    return await answer(request, service, await read_table(request, service.settings, COLUMNS))


@router.post("/embed/image", **openapi.embedding_route("Embed images", openapi.IMAGE_BODY))
async def embed_image(request: Request, service: ServiceDependency) -> Response:
    """Embed images: a table with an `image` column, one raw image as the body, or a form with image files."""
    service.ready_pipeline()
    return await answer(request, service, await read_images(request, service.settings))


@router.post("/embed/text", **openapi.embedding_route("Embed texts", openapi.TEXT_BODY))
async def embed_text(request: Request, service: ServiceDependency) -> Response:
    """Embed texts: a table with a `text` column, `{"texts": [...]}`, or one plain text."""
    service.ready_pipeline()
    return await answer(request, service, await read_texts(request, service.settings))


async def answer(request: Request, service: Service, work: EmbedJob, *, wrapped_in: str = "") -> Response:
    check_layout(work)
    loaded, _ = service.ready_pipeline()  # while it stops, what is admitted is answered: do not ask again below
    work, images, texts = await embeddings_of(request, service, work)
    return await embedding_response(
        work, images, texts, loaded.engine.logit_scale, request.headers, wrapped_in=wrapped_in
    )
