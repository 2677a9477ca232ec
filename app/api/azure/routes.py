"""Routes in the schema of the Azure endpoint, with shorter forms for images or texts on their own."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.classify.default_head import classify_or_embed
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation.bodies import IMAGE_BODY, TABLE_BODY, TEXT_BODY
from app.api.documentation.operations import EMBEDDINGS_OR_LABELS, embedding_route
from app.api.params import ImageParams
from app.api.request_parsing import read_images, read_table, read_texts
from app.api.responses import answer_job

router = APIRouter(tags=["embeddings"])


@router.post("/embed", **embedding_route("Embed images and texts", TABLE_BODY))
async def embed(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed the rows of a table in the Azure endpoint's schema. The answer has one object per row, in their order.

    A JSON body has the parameters in `params`. Beside a form they are in the query.
    """
    return await answer_job(request, service, model, await read_table(request, service.settings))


@router.post(
    "/score",
    **embedding_route("Embed images and texts (Azure's name)", TABLE_BODY, response_model=EMBEDDINGS_OR_LABELS),
)
async def score(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed as `/embed` does. If a classification model of Azure is served, rows of images get labels and scores.

    A JSON body has the parameters in `params`. Beside a form they are in the query.
    """
    return await classify_or_embed(request, service, model, await read_table(request, service.settings))


@router.post("/embed/image", **embedding_route("Embed images", IMAGE_BODY, without=["truncate"], kinds=["image"]))
async def embed_image(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed images: a table with an `image` column, one raw image as the body, or a form with image files.

    A JSON body has the parameters in `params`. Beside a file or a form they are in the query.
    """
    return await answer_job(request, service, model, await read_images(request, service.settings))


@router.post(
    "/embed/text",
    **embedding_route("Embed texts", TEXT_BODY, without=["frames", *ImageParams.model_fields], kinds=["text"]),
)
async def embed_text(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed texts: a table with a `text` column, `{"texts": [...]}`, or one plain text.

    A JSON body has the parameters in `params`. Beside a plain text they are in the query.
    """
    return await answer_job(request, service, model, await read_texts(request, service.settings))
