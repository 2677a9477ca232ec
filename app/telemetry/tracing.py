"""OpenTelemetry traces: a span for every request, with one for each of its stages.

They go where the standard `OTEL_*` variables say, and nowhere without them. A span holds the route, the status, the
number of rows and times; nothing of a request's contents, and neither its path nor the client's address.
"""

import logging
import time
from collections.abc import Mapping

from app.settings import wants_traces

logger = logging.getLogger("medimageinsight")
NAME = "medimageinsight-server"
SERVER_ERROR = 500


class Traces:
    """Makes spans of requests that have ended, and exports them over OTLP/HTTP from a thread of its own."""

    def __init__(self) -> None:
        """Set up the exporter by the `OTEL_*` variables.

        Raises:
            ImportError: the extra `otel` is not installed.
        """
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: NAME}))
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(NAME)

    @classmethod
    def of_environment(cls) -> "Traces | None":
        """None without an endpoint in the `OTEL_*` variables, or (with a warning) without the extra."""
        if not wants_traces():
            return None
        try:
            return cls()
        except ImportError:
            logger.warning("OTEL_* ask for traces: install medimageinsight-server[otel]; none are sent")
            return None

    def request_ended(
        self, method: str, route: str, status: int, rows: int, stages: Mapping[str, float], seconds: float,
        headers: Mapping[str, str],
    ) -> None:  # fmt: skip
        """Record a request that ends now.

        Args:
            method: of HTTP.
            route: the template, not the path.
            status: of the answer.
            rows: of the request.
            stages: seconds of its stages, in their order, as many as it had.
            seconds: from its first byte to now.
            headers: where a caller's `traceparent` may stand; its trace is continued.
        """
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        now = time.time_ns()
        at = now - round(1e9 * seconds)
        span = self._tracer.start_span(
            f"{method} {route}".strip(),
            extract({name: headers[name] for name in ("traceparent", "tracestate") if name in headers}),
            SpanKind.SERVER,
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "medimageinsight.rows": rows,
            },
            start_time=at,
        )
        if status >= SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        inside = set_span_in_context(span)
        for stage, stage_seconds in stages.items():
            child = self._tracer.start_span(stage, inside, start_time=at)
            at += round(1e9 * stage_seconds)
            child.end(at)
        span.end(now)

    def stop(self) -> None:
        """Export what is left."""
        self._provider.shutdown()
