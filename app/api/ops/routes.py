"""Routes for operators and probes: health, information, metrics, version."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client.exposition import choose_encoder

from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation.answers import json_answer, metrics_answer
from app.api.documentation.document import swagger_2
from app.api.ops.info import info_of
from app.api.ops.schema import INFO_EXAMPLE, Info, Live, Ready, Version
from app.errors import RequestInvalid
from app.version import VERSION

router = APIRouter(tags=["operation"])
_READY = json_answer("Requests are served.", ready={"status": "ready"})


@router.get(
    "/health/live",
    summary="Whether the process answers",
    responses=json_answer("The process answers.", live={"status": "live"}),
)
async def live() -> Live:
    """Answer 200 while the process can answer at all, also while the model is being loaded."""
    return Live(status="live")


@router.get("/ping", operation_id="ping", summary="The same as /health/ready (SageMaker's name)", responses=_READY)
@router.get("/health", operation_id="health", summary="The same as /health/ready", responses=_READY)
@router.get("/health/ready", operation_id="ready", summary="Whether requests are served", responses=_READY)
async def ready(_model: ModelDependency) -> Ready:
    """Answer 200 if the model is loaded and warmed up, otherwise 503 with the reason."""
    return Ready(status="ready")


@router.get(
    "/version",
    summary="The service's version",
    responses=json_answer("The version.", release={"version": INFO_EXAMPLE["version"]}),
)
async def version() -> Version:
    return Version(version=VERSION)


@router.get(
    "/info",
    summary="The model, the device and the limits",
    responses=json_answer("Facts about the service.", released_model=INFO_EXAMPLE),
)
async def info(service: ServiceDependency, model: ModelDependency) -> Info:
    """Describe the model, its device, the limits and the counters.

    The first call reads the whole checkpoint to compute its hash.
    """
    return await info_of(service, model)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse, responses=metrics_answer())
async def metrics(request: Request, service: ServiceDependency) -> Response:
    """Return counters, times and the state of the queue in Prometheus' text format, also while the model is loading."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(service.metrics.registry), media_type=content_type)


@router.get("/swagger.json", include_in_schema=False)
async def swagger(request: Request) -> JSONResponse:
    """Return the OpenAPI document under the name that the Azure endpoint uses, or a Swagger 2.0 document."""
    asked = request.query_params.get("version", "3")
    if asked not in ("2", "3"):
        raise RequestInvalid("The query parameter version must be 2 or 3.")
    return JSONResponse(swagger_2(VERSION) if asked == "2" else request.app.openapi())
