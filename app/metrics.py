"""What `/metrics` shows: counts and times noted as they happen, and the state at the time of asking."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from app.version import VERSION

if TYPE_CHECKING:
    from app.state import Service

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
UNMATCHED = "unmatched"


class Metrics:
    """The registry of one application; label values come from the code alone, never from a request."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._requests = Counter(
            "medimageinsight_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self._request_seconds = Histogram(
            "medimageinsight_request_duration_seconds",
            "Time from a request's first byte to its answer's last.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._stage_seconds = Histogram(
            "medimageinsight_stage_duration_seconds",
            "Time of the stages of the requests that embed; they add up to the requests' time.",
            ["stage"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._rows = Counter("medimageinsight_rows", "Images and texts admitted.", ["kind"], registry=self.registry)
        self._expired = Counter(
            "medimageinsight_expired_rows", "Rows of requests whose deadline passed.", registry=self.registry
        )
        self._batch_size = Histogram(
            "medimageinsight_batch_size",
            "Entries of one device call.",
            ["kind"],
            buckets=BATCH_SIZES,
            registry=self.registry,
        )
        self._batch_fill = Histogram(
            "medimageinsight_batch_fill_ratio",
            "Share of a device call's budget that was used.",
            ["kind"],
            buckets=SHARES,
            registry=self.registry,
        )

    def request_ended(self, route: str, status: int, seconds: float, stages: Mapping[str, float] | None) -> None:
        """Note a request; `stages` are those of one that embeds."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)
        for stage, duration in (stages or {}).items():
            self._stage_seconds.labels(stage).observe(duration)

    def rows_admitted(self, images: int, texts: int) -> None:
        self._rows.labels("image").inc(images)
        self._rows.labels("text").inc(texts)

    def rows_expired(self, rows: int) -> None:
        self._expired.inc(rows)

    def batch_computed(self, kind: str, entries: int, fill: float) -> None:
        self._batch_size.labels(kind).observe(entries)
        self._batch_fill.labels(kind).observe(fill)


class StateCollector(Collector):
    """Reads the service's state at the time of asking."""

    def __init__(self, service: "Service") -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        service = self._service
        yield _gauge("ready", "1 when requests are served.", service.why_not_ready is None)
        for name, help_text, value, most in (
            ("queue_rows", "Rows admitted and not answered yet", service.admission.rows, service.admission.queue_size),
            ("queue_bytes", "Body bytes held", service.admission.bytes, service.admission.queue_bytes),
            (
                "requests_in_flight",
                "Requests whose body is there and whose answer is not",
                service.admission.requests,
                service.admission.max_concurrent_requests,
            ),
        ):
            yield _gauge(name, f"{help_text}.", value)
            yield _gauge(f"{name}_limit", f"{help_text}, at most.", most)
        yield InfoMetricFamily("medimageinsight_server", "The service.", {"version": VERSION})
        if service.loaded is not None and service.pipeline is not None:
            yield from self._pipeline_metrics()

    def _pipeline_metrics(self) -> Iterable[Metric]:
        service, loaded, pipeline = self._service, self._service.loaded, self._service.pipeline
        assert loaded is not None
        assert pipeline is not None
        engine = loaded.engine
        model = {"name": engine.release.name, "device": str(engine.device), "dtype": str(engine.dtype).split(".")[-1]}
        yield InfoMetricFamily(
            "medimageinsight_model", "What is served.", model | {"demonstration": str(service.is_demonstration).lower()}
        )
        yield _gauge("device_silent_seconds", "Age of the device call that runs; 0 for none.", pipeline.device.silent_s)
        yield _gauge("device_memory_bytes", "Memory that torch holds on a GPU; 0 on a CPU.", engine.device_memory_bytes)
        yield _counter("text_cache_hits", "Texts answered from memory.", {"": pipeline.text_cache_hits})
        yield _counter("text_cache_misses", "Texts that were not in memory.", {"": pipeline.text_cache_misses})
        batchers = {"image": pipeline.images, "text": pipeline.texts}
        for name, help_text, attribute in (
            ("batches", "Device calls.", "batches"),
            ("entries", "Distinct images and texts computed.", "entries"),
            ("shared_entries", "Images and texts that met their equal before the device.", "shared"),
            ("dropped_entries", "Entries dropped before the device: client gone or deadline passed.", "dropped"),
            ("retried_batches", "Batches that failed and were computed entry by entry.", "retried"),
        ):
            yield _counter(name, help_text, {kind: getattr(batcher, attribute) for kind, batcher in batchers.items()})


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"medimageinsight_{name}", help_text, value=float(value))


def _counter(name: str, help_text: str, values: Mapping[str, float]) -> Metric:
    """Values by kind; the kind "" is a counter without labels."""
    family = CounterMetricFamily(f"medimageinsight_{name}", help_text, labels=[] if "" in values else ["kind"])
    for kind, value in values.items():
        family.add_metric([kind] if kind else [], value)
    return family
