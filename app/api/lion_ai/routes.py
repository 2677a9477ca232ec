"""Routes of lion-ai's MedImageInsights wrapper."""

from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.bodies.json_body import read_json
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation import operations
from app.api.execution import execute
from app.api.lion_ai.schema import EncodeResponse, PredictResponse, parse_encode, parse_predict, predictions
from app.api.responses import count_headers, json_response
from app.threads import in_thread

router = APIRouter(tags=["lion-ai"])
_LABELS = [operations.EXAMPLE_TEXT, "x-ray chest anteroposterior No Finding"]


@router.post(
    "/predict",
    **operations.json_route(
        "Classify images by texts (lion-ai's schema)",
        "PredictRequest",
        PredictResponse,
        "One object per image, in their order: label to probability, highest first.",
        two_labels={"images": [operations.EXAMPLE_IMAGE], "labels": _LABELS, "multilabel": False},
    ),
)
async def predict(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Compare images with labels: a softmax over the labels, or a sigmoid per label with `multilabel`."""
    job, multilabel = parse_predict(await read_json(request, service.settings), service.settings)
    result = await execute(request, service, model, job)
    scores = partial(predictions, result, model.engine.logit_scale, multilabel=multilabel)
    rows = await in_thread(service.scoring, scores)
    return await json_response({"predictions": rows}, request.headers, count_headers(result))


@router.post(
    "/encode",
    **operations.json_route(
        "Embed images and texts (lion-ai's schema)",
        "EncodeRequest",
        EncodeResponse,
        "One vector per image and one per text, each in their order; null for a list that was not sent.",
        image_and_text={"images": [operations.EXAMPLE_IMAGE], "texts": [operations.EXAMPLE_TEXT]},
    ),
)
async def encode(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed images and texts without the endpoint's first step, the small square JPEG."""
    job = parse_encode(await read_json(request, service.settings), max_rows=service.settings.max_rows)
    result = await execute(request, service, model, job)
    content = {
        "image_embeddings": result.image_features if job.images else None,
        "text_embeddings": result.text_features if job.texts else None,
    }
    return await json_response(content, request.headers, count_headers(result))
