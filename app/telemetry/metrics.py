"""Counters and histograms that are updated as requests are answered."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector

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
