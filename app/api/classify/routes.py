"""Routes that classify images, and that list the heads."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.classify.execution import execute_classification
from app.api.classify.schema import Classified, HeadList
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation import operations
from app.api.request_parsing import read_classification
from app.api.responses import count_headers, ignored_header, json_response
from app.service import ReadyModel
from model.errors import HeadError

router = APIRouter(tags=["classification"])


def _documented() -> dict[str, Any]:
    params = {"labels": [operations.EXAMPLE_TEXT, "x-ray chest anteroposterior No Finding"]}
    description = "Per row: its labels, highest score first; for a list of heads, one object from head to labels."
    route = operations.image_route("Classify images", "ClassifyRequest", Classified, description, params)
    return route | {"responses": route["responses"] | operations.HEAD_UNKNOWN}


@router.post("/classify", **_documented())
async def classify(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Classify images by loaded heads, or by labels of the request.

    The images come as in `/embed/image`. Parameters of a file or a form come from the query or the form's fields.
    """
    job = await read_classification(request, service.settings)
    result = await execute_classification(request, service, model, job)
    sent = ignored_header(job.ignored_params) | count_headers(result)
    return await json_response(result.rows, request.headers, sent)


@router.get("/heads", response_model=HeadList, summary="The heads that are loaded", responses=operations.NOT_READY)
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
