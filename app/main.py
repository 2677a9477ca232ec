"""Application factory: wiring only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from app.api.azure import routes as azure
from app.api.classify import catalogue
from app.api.classify import routes as classify
from app.api.cohere import routes as cohere
from app.api.documentation.document import TITLE, document, operation_id
from app.api.error_handlers import add_error_handlers, error_response
from app.api.lion_ai import routes as lion_ai
from app.api.mlflow import routes as mlflow
from app.api.openai import routes as openai
from app.api.ops import routes as ops
from app.api.ops.service_collector import ServiceCollector
from app.api.render import routes as render
from app.api.similarity import routes as similarity
from app.inference.model_loader import LoadedModel
from app.middleware.api_keys import Access, RequireApiKey
from app.middleware.body_limits import BodyLimits
from app.middleware.error_responses import ErrorResponses
from app.middleware.head_requests import HeadRequests
from app.middleware.request_decompression import RequestDecompression
from app.middleware.request_ids import RequestIds
from app.middleware.request_telemetry import RequestTelemetry
from app.middleware.security_headers import SecurityHeaders
from app.service import Service
from app.settings import Settings
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import Traces
from app.version import VERSION
from app.web import routes as web


def create_app(settings: Settings | None = None, loaded: LoadedModel | None = None) -> FastAPI:
    """Create the application.

    Args:
        settings: the settings; None reads them from the environment.
        loaded: a model that is loaded already; None loads the model of the settings once the server has started.

    Raises:
        KeysUnusable: the keys of the settings cannot be used.
        AllowListInvalid: the URL_ALLOWLIST of the settings cannot be used.
    """
    settings = settings or Settings()
    access = Access.from_settings(settings)
    metrics = Metrics()
    service = Service(settings, metrics)
    metrics.registry.register(ServiceCollector(service))
    traces = Traces.from_environment()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if loaded is None:
            service.start()
        else:
            service.serve(loaded)
        yield
        await service.stop()
        if traces is not None:
            await asyncio.to_thread(traces.stop)

    app = FastAPIOffline(
        title=TITLE,
        version=VERSION,
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url="/redoc",
        generate_unique_id_function=operation_id,
    )
    app.state.service = service
    web.add_files(app, settings)
    routes = [*app.routes]
    for module in (web, azure, classify, catalogue, similarity, mlflow, openai, cohere, lion_ai, render, ops):
        app.include_router(module.router)
        routes += module.router.routes
    document(app, VERSION, lambda: service.is_demonstration, access.needs_key)
    add_error_handlers(app, routes)
    _add_middleware(app, service, access)
    app.add_middleware(RequestTelemetry, admission=service.admission, metrics=metrics, routes=routes, traces=traces)
    return app


def _add_middleware(app: FastAPI, service: Service, access: Access) -> None:
    """Add the middleware inside `RequestTelemetry`, the innermost first."""
    settings, admission = service.settings, service.admission
    app.add_middleware(HeadRequests)
    app.add_middleware(
        BodyLimits,
        admission=admission,
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_s,
    )
    app.add_middleware(RequestDecompression)
    app.add_middleware(RequireApiKey, access=access)
    app.add_middleware(ErrorResponses, respond=error_response)
    app.add_middleware(RequestIds, respond=error_response)
    if origins := [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    app.add_middleware(SecurityHeaders)
