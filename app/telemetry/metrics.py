"""Counters and histograms that requests and batches update."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
UNMATCHED = "unmatched"
"""Label `route` of a request whose path belongs to no route."""


class Metrics:
    """The metrics of one application, in a registry of their own.

    Values of labels come only from the code, never from a request.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._requests = Counter(
            "medimageinsight_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self._request_seconds = Histogram(
            "medimageinsight_request_duration_seconds",
            "Seconds from the first byte of a request to the last byte of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._stage_seconds = Histogram(
            "medimageinsight_stage_duration_seconds",
            "Seconds of each stage of a request that embeds; the stages add up to the duration of the request.",
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
            "Entries per device call.",
            ["kind"],
            buckets=BATCH_SIZES,
            registry=self.registry,
        )
        self._batch_fill = Histogram(
            "medimageinsight_batch_fill_ratio",
            "Used share of the budget of a device call: images, or tokens for texts.",
            ["kind"],
            buckets=SHARES,
            registry=self.registry,
        )

    def request_ended(self, route: str, status: int, seconds: float, stages: Mapping[str, float]) -> None:
        """Count a request that was answered.

        Args:
            route: template of the path, or `UNMATCHED`.
            status: HTTP status of the answer.
            seconds: duration of the request.
            stages: seconds per stage; empty for a request that does not embed.
        """
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)
        for stage, duration in stages.items():
            self._stage_seconds.labels(stage).observe(duration)

    def rows_admitted(self, images: int, texts: int) -> None:
        """Count the images and texts of a request that was admitted."""
        self._rows.labels("image").inc(images)
        self._rows.labels("text").inc(texts)

    def rows_expired(self, rows: int) -> None:
        """Count the rows of a request whose deadline passed."""
        self._expired.inc(rows)

    def batch_computed(self, kind: str, entries: int, fill: float) -> None:
        """Count a device call.

        Args:
            kind: image or text.
            entries: number of entries in the batch.
            fill: used share of the batch's budget, from 0 to 1.
        """
        self._batch_size.labels(kind).observe(entries)
        self._batch_fill.labels(kind).observe(fill)
