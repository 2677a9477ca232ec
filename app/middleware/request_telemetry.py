"""Notes every request: in the metrics, the log and the traces, and for the client in `Server-Timing`."""

import logging
import re
import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry.metrics import UNMATCHED, Metrics
from app.telemetry.stage_timings import StageTimings
from app.telemetry.tracing import Traces

logger = logging.getLogger("medimageinsight.requests")

PROBES = ("/", "/health", "/health/live", "/health/ready", "/ping", "/metrics")
CLIENT_GONE = 499  # no answer began


class RequestTelemetry:
    """Outermost of the middleware, so that refusals of the others are noted too."""

    def __init__(self, app: ASGIApp, metrics: Metrics, traces: Traces | None = None) -> None:
        self._app, self._metrics, self._traces = app, metrics, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        timings = state["timings"] = StageTimings()
        status = CLIENT_GONE

        async def send_with_timing(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if "rows" in state:
                    MutableHeaders(scope=message)["server-timing"] = ", ".join(
                        f"{stage};dur={1000 * seconds:.2f}" for stage, seconds in timings.durations().items()
                    )
            await send(message)

        try:
            await self._app(scope, receive, send_with_timing)
        finally:
            stages = timings.durations() if "rows" in state else None
            self._note(scope, status, time.perf_counter() - timings.start, stages)

    def _note(self, scope: Scope, status: int, seconds: float, stages: Mapping[str, float] | None) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        self._metrics.request_ended(route, status, seconds, stages)
        method = scope["method"] if route != UNMATCHED else ""
        rows = scope["state"].get("rows", 0)
        if self._traces is not None and route not in PROBES:
            headers = Headers(scope=scope)
            self._traces.request_ended(method, route, status, rows, stages or {}, seconds, headers)
        level = logging.DEBUG if route in PROBES else logging.INFO
        if not logger.isEnabledFor(level):
            return
        facts: dict[str, object] = {
            "method": method,
            "route": route,
            "status": status,
            "rows": rows,
            "total_ms": round(1000 * seconds, 2),
            **{f"{stage}_ms": round(1000 * duration, 2) for stage, duration in (stages or {}).items()},
            "request_id": _printable(scope["state"].get("request_id", "")),
        }
        logger.log(level, " ".join(f"{name}={value}" for name, value in facts.items()), extra=facts)


def _printable(request_id: str) -> str:
    """A client's own id with nothing in it that could break a line of the log."""
    return re.sub(r"[^!-~]", "?", request_id)
