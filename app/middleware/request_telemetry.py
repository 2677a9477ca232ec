"""Metrics, a log line and a trace per request, and its stage timings for the client."""

import logging
import re
import time
from collections.abc import Mapping, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.inference.admission import Admission, HeldBytes
from app.middleware.api_keys import METRICS_ROUTE, OPEN_ROUTES, PAGE_FILES
from app.middleware.error_responses import REFUSAL
from app.middleware.request_context import RequestContext
from app.telemetry.metrics import UNMATCHED, Metrics
from app.telemetry.tracing import Traces

logger = logging.getLogger("medimageinsight.requests")

# Probes, and the files of the page: too many to log them.
QUIET_ROUTES = OPEN_ROUTES | {METRICS_ROUTE, PAGE_FILES.removesuffix("/")}
CLIENT_CLOSED_REQUEST = 499  # the client left before a response began
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
OTHER_METHOD = "_OTHER"
"""OpenTelemetry's name for a method that is none of `METHODS`, or that could not be read."""


class RequestTelemetry:
    """Creates the `RequestContext`, and records the request when it ends.

    It is the outermost middleware, so that the refusals of all others are recorded too, under the route that the
    request was for. A request that embeds is answered with `Server-Timing`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        admission: Admission,
        metrics: Metrics,
        routes: Sequence[BaseRoute],
        traces: Traces | None = None,
    ) -> None:
        self._app, self._admission, self._metrics, self._traces = app, admission, metrics, traces
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = RequestContext(HeldBytes(self._admission))
        context.attach(scope)
        status = CLIENT_CLOSED_REQUEST
        asked = {name: scope[name] for name in ("type", "method", "path")}  # a mounted application changes the scope

        async def send_with_timing(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if context.row_count is not None:
                    MutableHeaders(scope=message)["server-timing"] = ", ".join(
                        f"{stage};dur={1000 * seconds:.2f}" for stage, seconds in context.timings.durations().items()
                    )
            await send(message)

        try:
            await self._app(scope, receive, send_with_timing)
        finally:
            is_read = REFUSAL not in scope.get("extensions", {})
            route = (getattr(scope.get("route"), "path", None) or self._route_of(asked)) if is_read else UNMATCHED
            method = scope["method"] if is_read and scope["method"] in METHODS else OTHER_METHOD
            self._record(scope, route, method, context, status)

    def _route_of(self, asked: Scope) -> str:
        """The route of a request that was answered before the router saw it."""
        matching = (route for route in self._routes if route.matches(asked)[0] is not Match.NONE)
        return getattr(next(matching, None), "path", UNMATCHED)

    def _record(self, scope: Scope, route: str, method: str, context: RequestContext, status: int) -> None:
        seconds = time.perf_counter() - context.timings.start
        stages: Mapping[str, float] = {} if context.row_count is None else context.timings.durations()
        self._metrics.request_ended(route, status, seconds, stages)
        rows = context.row_count or 0
        if self._traces is not None and route not in QUIET_ROUTES:
            headers = Headers(scope=scope)
            self._traces.request_ended(method, route, status, rows, stages, seconds, headers)
        is_client_error = 400 <= status < 500  # such as a scrape with a wrong key
        level = logging.DEBUG if route in QUIET_ROUTES and not is_client_error else logging.INFO
        if not logger.isEnabledFor(level):
            return
        facts: dict[str, object] = {
            "method": method,
            "route": route,
            "status": status,
            **({"code": context.error_code} if context.error_code else {}),
            "rows": rows,
            "total_ms": round(1000 * seconds, 2),
            **{f"{stage}_ms": round(1000 * duration, 2) for stage, duration in stages.items()},
            "request_id": _printable(context.request_id),
        }
        logger.log(level, " ".join(f"{name}={value}" for name, value in facts.items()), extra=facts)


def _printable(request_id: str) -> str:
    """The id without characters that could break a log line; clients choose it."""
    return re.sub(r"[^!-~]", "?", request_id)
