"""Routes of lion-ai's MedImageInsights wrapper."""

from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.bodies.json_body import read_json
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation.answers import rows_answer
from app.api.documentation.examples import EXAMPLE_IMAGE, EXAMPLE_LABELS, EXAMPLE_TEXT, EXAMPLE_VECTOR
from app.api.documentation.operations import json_route
from app.api.execution import execute
from app.api.lion_ai.schema import EncodeResponse, PredictResponse, parse_encode, parse_predict, predictions
from app.api.request_parsing import ignoring_query
from app.api.responses import count_headers, ignored_header, json_response
from app.threads import in_thread

router = APIRouter(tags=["lion-ai"])


@router.post(
    "/predict",
    **json_route(
        "Classify images by texts (lion-ai's schema)",
        "PredictRequest",
        PredictResponse,
        rows_answer(
            "One object per image, in their order: label to probability, highest first.",
            two_labels={"predictions": [dict(zip(EXAMPLE_LABELS, (0.83, 0.17), strict=True))]},
        ),
        two_labels={"images": [EXAMPLE_IMAGE], "labels": EXAMPLE_LABELS, "multilabel": False},
    ),
)
async def predict(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Compare images with labels: a softmax over the labels, or a sigmoid per label with `multilabel`."""
    job, multilabel = parse_predict(await read_json(request, service.settings), service.settings)
    result = await execute(request, service, model, ignoring_query(job, request))
    scores = partial(predictions, result, model.engine.logit_scale, multilabel=multilabel)
    rows = await in_thread(service.scoring, scores)
    sent = ignored_header(result.job.ignored_params) | count_headers(result)
    return await json_response({"predictions": rows}, request.headers, sent)


@router.post(
    "/encode",
    **json_route(
        "Embed images and texts (lion-ai's schema)",
        "EncodeRequest",
        EncodeResponse,
        rows_answer(
            "One vector per image and one per text, each in their order; null for a list that was not sent.",
            image_and_text={"image_embeddings": [EXAMPLE_VECTOR], "text_embeddings": [EXAMPLE_VECTOR]},
        ),
        image_and_text={"images": [EXAMPLE_IMAGE], "texts": [EXAMPLE_TEXT]},
    ),
)
async def encode(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed images and texts without the endpoint's first step, the small square JPEG."""
    job = parse_encode(await read_json(request, service.settings), max_rows=service.settings.max_rows)
    result = await execute(request, service, model, ignoring_query(job, request))
    content = {
        "image_embeddings": result.image_features if job.images else None,
        "text_embeddings": result.text_features if job.texts else None,
    }
    sent = ignored_header(result.job.ignored_params) | count_headers(result)
    return await json_response(content, request.headers, sent)
