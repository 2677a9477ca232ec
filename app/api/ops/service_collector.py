"""Gauges and counters read from the service at the time of each scrape."""

from collections.abc import Iterable, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from app.decoding.pool import DecoderPool
from app.service import ReadyModel, Service
from app.version import VERSION


class ServiceCollector(Collector):
    """Reads the state of the service at each scrape."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        service = self._service
        yield _gauge("ready", "1 if requests are served, otherwise 0.", service.why_not_ready is None)
        for name, help_text, value, most in (
            (
                "queue_rows",
                "Rows that are admitted and not answered",
                service.admission.rows,
                service.admission.queue_size,
            ),
            (
                "queue_bytes",
                "Bytes of request bodies and remote images that are held",
                service.admission.bytes,
                service.admission.queue_bytes,
            ),
            (
                "requests_in_flight",
                "Requests whose body is complete and that are not answered",
                service.admission.requests,
                service.admission.max_concurrent_requests,
            ),
        ):
            yield _gauge(name, f"{help_text}.", value)
            yield _gauge(f"{name}_limit", f"{help_text}: upper limit.", most)
        yield InfoMetricFamily("medimageinsight_server", "Version of the service.", {"version": VERSION})
        if service.decoders is not None:
            yield from _decoder_metrics(service.decoders)
        if service.model is not None:
            yield from _model_metrics(service.model)


def _decoder_metrics(decoders: DecoderPool) -> Iterable[Metric]:
    yield _gauge("decoders", "Processes or threads that decode images.", decoders.size)
    yield _gauge("decoders_busy", "Processes or threads that decode an image now.", decoders.busy)
    yield _gauge("decode_queue", "Images that wait for a decoder.", decoders.waiting)
    yield _gauge(
        "decode_silent_seconds",
        "Seconds since the start of the oldest decoding that runs; 0 if none runs.",
        decoders.silent_s,
    )
    yield _counter("decoders_replaced", "Decoders that were replaced, by reason.", decoders.ends, label="reason")


def _model_metrics(model: ReadyModel) -> Iterable[Metric]:
    engine, pipeline = model.engine, model.pipeline
    facts = {
        "name": engine.release.name,
        "device": str(engine.device),
        "dtype": str(engine.dtype).removeprefix("torch."),
        "demonstration": str(engine.release.is_demonstration).lower(),
    }
    yield InfoMetricFamily("medimageinsight_model", "Model that is served.", facts)
    yield _gauge(
        "device_silent_seconds",
        "Seconds since the start of the oldest device call that runs; 0 if none runs.",
        pipeline.device.silent_s,
    )
    yield _gauge(
        "device_memory_bytes", "Bytes of GPU memory that torch has reserved; 0 on a CPU.", engine.device_memory_bytes
    )
    yield _counter("text_cache_hits", "Texts answered from the text cache.", {"": pipeline.text_cache_hits})
    yield _counter("text_cache_misses", "Texts that the text cache did not hold.", {"": pipeline.text_cache_misses})
    batchers = {"image": pipeline.images, "text": pipeline.texts}
    for name, help_text, attribute in (
        ("batches", "Device calls.", "batches"),
        ("entries", "Distinct images and texts computed.", "entries"),
        ("shared_entries", "Images and texts that were deduplicated before the device.", "shared"),
        (
            "dropped_entries",
            "Entries dropped before the device, because the client left or the deadline passed.",
            "dropped",
        ),
        ("retried_batches", "Batches that failed and were computed again entry by entry.", "retried"),
    ):
        yield _counter(name, help_text, {kind: getattr(batcher, attribute) for kind, batcher in batchers.items()})


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"medimageinsight_{name}", help_text, value=float(value))


def _counter(name: str, help_text: str, values: Mapping[str, float], label: str = "kind") -> Metric:
    """A counter with one value per value of its label; the value "" gives a counter without labels."""
    family = CounterMetricFamily(f"medimageinsight_{name}", help_text, labels=[] if "" in values else [label])
    for kind, value in values.items():
        family.add_metric([kind] if kind else [], value)
    return family
