"""The application factory; wiring only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from app.api import openapi
from app.api.azure import routes as azure
from app.api.error_handlers import add_error_handlers
from app.api.mlflow import routes as mlflow
from app.api.openai import routes as openai
from app.api.ops import routes as ops
from app.api.ops.service_collector import ServiceCollector
from app.inference.model_loader import LoadedModel
from app.middleware.api_keys import ApiKeys, RequireApiKey
from app.middleware.body_limits import BodyLimits
from app.middleware.request_decompression import RequestDecompression
from app.middleware.request_ids import RequestIds
from app.middleware.request_telemetry import RequestTelemetry
from app.middleware.security_headers import SecurityHeaders
from app.service import Service
from app.settings import Settings
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import Traces
from app.version import VERSION


def create_app(settings: Settings | None = None, loaded: LoadedModel | None = None) -> FastAPI:
    """Make the application.

    Args:
        settings: None reads them from the environment.
        loaded: an engine that is there already; None loads the settings' model once the server has started.

    Raises:
        KeysUnusable, AllowListUnusable: see there.
    """
    settings = settings or Settings()
    keys = ApiKeys.of(settings)
    metrics = Metrics()
    service = Service(settings, metrics)
    metrics.registry.register(ServiceCollector(service))
    traces = Traces.of_environment()

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

    app = FastAPIOffline(title=openapi.TITLE, version=VERSION, lifespan=lifespan, docs_url="/docs", redoc_url="/redoc")
    app.state.service = service
    app.include_router(azure.router)
    app.include_router(mlflow.router)
    app.include_router(openai.router)
    app.include_router(ops.router)
    openapi.document(app, VERSION, lambda: service.is_demonstration, needs_key=keys is not None)
    add_error_handlers(app)
    app.add_middleware(
        BodyLimits,
        admission=service.admission,
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_s,
    )
    app.add_middleware(RequestDecompression)
    if keys is not None:
        app.add_middleware(RequireApiKey, keys=keys)
    app.add_middleware(SecurityHeaders)
    if origins := [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    app.add_middleware(RequestIds)
    app.add_middleware(RequestTelemetry, metrics=metrics, traces=traces)
    return app
