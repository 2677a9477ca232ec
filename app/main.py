"""The application factory; wiring only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from app import openapi, routes_embed, routes_openai, routes_ops
from app.compression import InflateBodies
from app.errors import add_error_handlers
from app.metrics import Metrics, StateCollector
from app.middleware import BodyLimits, BrowserPolicy, RequestIds
from app.model_loader import Loaded
from app.observing import Observing
from app.security import ApiKeys, RequireKey
from app.settings import Settings
from app.state import Service
from app.tracing import Traces
from app.version import VERSION


def create_app(settings: Settings | None = None, loaded: Loaded | None = None) -> FastAPI:
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
    metrics.registry.register(StateCollector(service))
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
    app.include_router(routes_embed.router)
    app.include_router(routes_openai.router)
    app.include_router(routes_ops.router)
    openapi.document(app, VERSION, lambda: service.is_demonstration, needs_key=keys is not None)
    add_error_handlers(app)
    app.add_middleware(
        BodyLimits,
        admission=service.admission,
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_s,
    )
    app.add_middleware(InflateBodies)
    if keys is not None:
        app.add_middleware(RequireKey, keys=keys)
    app.add_middleware(BrowserPolicy)
    if origins := [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    app.add_middleware(RequestIds)
    app.add_middleware(Observing, metrics=metrics, traces=traces)
    return app
