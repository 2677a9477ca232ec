"""Routes that classify images, and that list the heads."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.classify.execution import execute_classification
from app.api.classify.schema import Classified, ClassifyParams, HeadList
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation.answers import json_answer, rows_answer
from app.api.documentation.bodies import image_body
from app.api.documentation.examples import EXAMPLE_LABELS, EXAMPLE_SCORES
from app.api.documentation.operations import post_route
from app.api.documentation.parameters import query_parameters
from app.api.request_parsing import read_classification
from app.api.responses import count_headers, ignored_header, json_response
from app.service import ReadyModel
from model.errors import HeadError

router = APIRouter(tags=["classification"])


_DESCRIPTION = "Per row: its labels, highest score first; for a list of heads, one object from head to labels."
_CARD = {
    "name": "chest",
    "default": True,
    "kind": "logistic",
    "labels": EXAMPLE_LABELS,
    "activation": "softmax",
    "multi_label": False,
    "thresholds": {},
    "model": {"name": "2024.09.27", "weights_sha256": "6b51…"},
    "preprocessing": {"image_standardization_image_size": 512},
}


@router.post(
    "/classify",
    **post_route(
        "Classify images",
        image_body("ClassifyRequest", {"labels": EXAMPLE_LABELS}),
        Classified,
        rows_answer(_DESCRIPTION, labels=[EXAMPLE_SCORES]),
        query_parameters(ClassifyParams, without=["frames"]),
    ),
)
async def classify(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Classify images by loaded heads, or by labels of the request.

    The images come as in `/embed/image`. Parameters of a file or a form come from the query or the form's fields.
    """
    job = await read_classification(request, service.settings)
    result = await execute_classification(request, service, model, job)
    sent = ignored_header(job.ignored_params) | count_headers(result)
    return await json_response(result.rows, request.headers, sent)


@router.get(
    "/heads",
    response_model=HeadList,
    summary="The heads that are loaded",
    responses=json_answer("The heads, in the order of HEADS.", one_head={"heads": [_CARD]}),
)
async def heads(model: ModelDependency) -> Any:
    """List the heads that `head` of `/classify` can name."""
    return {"heads": [_card(name, model) for name in model.heads]}


def _card(name: str, model: ReadyModel) -> dict[str, Any]:
    head = model.heads[name]
    try:
        head.check_multi_label(True)
    except HeadError:
        is_multi_label = False
    else:
        is_multi_label = True
    return {
        "name": name,
        "default": head is model.default_head or (model.default_head is None and len(model.heads) == 1),
        "kind": head.kind,
        "labels": head.labels,
        "activation": head.activation,
        "multi_label": is_multi_label,
        "thresholds": head.thresholds,
        "model": head.model,
        "preprocessing": head.preprocessing.params(),
    }
