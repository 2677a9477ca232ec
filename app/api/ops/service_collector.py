"""Gauges and counters read from the service at the time of each scrape."""

from collections.abc import Iterable, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from app.service import Service
from app.version import VERSION


class ServiceCollector(Collector):
    """Reads the service's state at the time of asking."""

    def __init__(self, service: Service) -> None:
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
