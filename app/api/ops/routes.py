"""Routes for operators and probes: health, information, metrics, version."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from prometheus_client.exposition import choose_encoder

from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation.document import DEMONSTRATION_NOTICE, RESEARCH_NOTICE, swagger_2
from app.api.documentation.operations import NOT_READY
from app.errors import RequestInvalid
from app.version import VERSION

router = APIRouter(tags=["operation"])


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
async def liveness_page() -> str:
    """Answer the liveness probe of Azure."""
    return "Healthy"


@router.get("/health/live", summary="Whether the process answers")
async def live() -> dict[str, str]:
    """Answer 200 while the process can answer at all, also while the model is being loaded."""
    return {"status": "live"}


@router.get("/health/ready", summary="Whether requests are served", responses=NOT_READY)
@router.get("/health", summary="The same as /health/ready", responses=NOT_READY)
@router.get("/ping", summary="The same as /health/ready (SageMaker's name)", responses=NOT_READY)
async def ready(_model: ModelDependency) -> dict[str, str]:
    """Answer 200 if the model is loaded and warmed up, otherwise 503 with the reason."""
    return {"status": "ready"}


@router.get("/version", summary="The service's version")
async def version() -> dict[str, str]:
    return {"version": VERSION}


@router.get("/info", summary="The model, the device and the limits", responses=NOT_READY)
async def info(service: ServiceDependency, model: ModelDependency) -> dict[str, Any]:
    """Describe the model, its device, the limits and the counters.

    The first call reads the whole checkpoint to compute its hash.
    """
    engine, pipeline, settings = model.engine, model.pipeline, service.settings
    return {
        "model": {
            "name": engine.release.name,
            "demonstration": service.is_demonstration,
            "checkpoint": engine.release.weights.name,
            "checkpoint_sha256": await service.checkpoint_sha256(),
            "embedding_size": engine.embedding_size,
            "image_size": list(engine.config.image.image_size),
            "context_length": engine.config.text.context_length,
            "text_encoder": engine.reads_texts,
            "scaling_factor": engine.logit_scale,
        },
        "heads": list(model.heads),
        "device": str(engine.device),
        "dtype": str(engine.dtype).removeprefix("torch."),
        "threads": engine.threads,
        "limits": {
            "max_batch_size": pipeline.limits.max_batch_size,
            "text_batch_tokens": pipeline.limits.text_batch_tokens,
            "concurrent_batches": pipeline.limits.concurrent_batches,
            "queue_size": settings.queue_size,
            "queue_bytes": settings.queue_bytes,
            "max_concurrent_requests": settings.max_concurrent_requests,
            "max_rows": settings.max_rows,
            "max_labels": settings.max_labels,
            "max_body_bytes": settings.max_body_bytes,
            "max_image_pixels": settings.max_image_pixels,
            "max_text_chars": settings.max_text_chars,
            "request_timeout_s": settings.request_timeout_s,
        },
        "startup": {
            "imports_s": model.imports_s,
            "load_s": engine.load_times.load_s,
            "warm_up_s": engine.load_times.warm_up_s,
        },
        "counters": {
            "image_batches": pipeline.images.batches,
            "images": pipeline.images.entries,
            "text_batches": pipeline.texts.batches,
            "texts": pipeline.texts.entries,
            "text_cache_misses": pipeline.text_cache_misses,
            "text_cache_hits": pipeline.text_cache_hits,
            "shared_entries": pipeline.images.shared + pipeline.texts.shared,
            "requests_in_flight": service.admission.requests,
            "dropped_entries": pipeline.images.dropped + pipeline.texts.dropped,
        },
        "version": VERSION,
        "notice": f"{DEMONSTRATION_NOTICE} {RESEARCH_NOTICE}" if service.is_demonstration else RESEARCH_NOTICE,
    }


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
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
