"""Traces: sent to the collector that the `OTEL_*` variables name, without any contents of requests."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.telemetry.stage_timings import STAGES
from app.telemetry.tracing import Traces
from tests.support.samples import TEXT
from tests.support.servers.serving import serving

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(HTTPServer):
    """An OpenTelemetry collector on loopback that keeps the bodies it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []
        self.endpoint = f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Span]:
        exports = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for export in exports
            for resource in export.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_span_for_each_request_and_stage(
    collector: Collector, small_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    with serving(small_release) as url:
        headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
        httpx.post(f"{url}/embed/text?who=SECRET", json={"texts": [TEXT, "SECRET"]}, headers=headers)
        httpx.get(f"{url}/SECRET")
    spans = {span.name: span for span in collector.spans()}
    assert spans.keys() == {"POST /embed/text", "GET unmatched", *STAGES}  # probes have no spans
    request = spans["POST /embed/text"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert {item.key: item.value.int_value or item.value.string_value for item in request.attributes} == {
        "http.request.method": "POST",
        "http.route": "/embed/text",
        "http.response.status_code": 200,
        "medimageinsight.rows": 2,
    }
    stages = [spans[stage] for stage in STAGES]
    assert {stage.parent_span_id for stage in stages} == {request.span_id}
    times = [time for stage in stages for time in (stage.start_time_unix_nano, stage.end_time_unix_nano)]
    assert times == sorted(times)
    assert request.start_time_unix_nano == times[0]
    assert not any(b"SECRET" in body for body in collector.bodies)
    assert b"medimageinsight-server" in collector.bodies[0]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_sent_unless_asked_for(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Traces.from_environment() is None
