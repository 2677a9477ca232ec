"""OpenTelemetry traces: one span per request, with one child span per stage.

The standard `OTEL_*` variables name the collector; without them nothing is sent. A span holds the method, the route,
the status, the number of rows and times. It holds no contents, no path and no client address.
"""

import logging
import time
from collections.abc import Mapping

from app.settings import wants_traces

logger = logging.getLogger("medimageinsight")
SERVICE = "medimageinsight-server"
_FIRST_SERVER_ERROR = 500


class Traces:
    """Creates the spans of a request when it ends. A background thread exports them over OTLP/HTTP."""

    def __init__(self) -> None:
        """Set up the exporter, which reads the `OTEL_*` variables.

        Raises:
            ImportError: the extra `otel` is not installed.
        """
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(SERVICE)

    @classmethod
    def from_environment(cls) -> "Traces | None":
        """The traces that the `OTEL_*` variables ask for.

        Returns:
            None if they ask for none, or (with a warning) if the extra `otel` is not installed.
        """
        if not wants_traces():
            return None
        try:
            return cls()
        except ImportError:
            logger.warning(
                "No traces are sent: OTEL_* asks for them, but medimageinsight-server[otel] is not installed"
            )
            return None

    def request_ended(
        self, method: str, route: str, status: int, rows: int, stages: Mapping[str, float], seconds: float,
        headers: Mapping[str, str],
    ) -> None:  # fmt: skip
        """Export a request that ends now.

        Args:
            method: HTTP method.
            route: template of the path, never the path itself.
            status: HTTP status of the answer.
            rows: number of rows in the request.
            stages: seconds per stage, in the order of the stages; empty for a request that does not embed.
            seconds: duration of the request.
            headers: headers of the request; the trace in `traceparent` is continued.
        """
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        end_ns = time.time_ns()
        start_ns = end_ns - round(1e9 * seconds)
        span = self._tracer.start_span(
            f"{method} {route}",
            extract({name: headers[name] for name in ("traceparent", "tracestate") if name in headers}),
            SpanKind.SERVER,
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "medimageinsight.rows": rows,
            },
            start_time=start_ns,
        )
        if status >= _FIRST_SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        parent = set_span_in_context(span)
        for stage, stage_seconds in stages.items():
            child = self._tracer.start_span(stage, parent, start_time=start_ns)
            start_ns += round(1e9 * stage_seconds)
            child.end(start_ns)
        span.end(end_ns)

    def stop(self) -> None:
        """Export the remaining spans and stop the background thread."""
        self._provider.shutdown()
