"""Admission control: bounds on the rows, the body bytes and the requests in flight."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import QueueFull

SMOOTHING = 0.2  # weight of the newest measurement of the seconds per row


class Admission:
    """Admits a request as a whole or refuses it, and estimates when there may be room.

    Args:
        queue_size: rows in flight.
        queue_bytes: bytes of bodies and remote images in flight.
        max_concurrent_requests: requests in flight.
    """

    def __init__(self, queue_size: int, queue_bytes: int, max_concurrent_requests: int) -> None:
        self.queue_size, self.queue_bytes = queue_size, queue_bytes
        self.max_concurrent_requests = max_concurrent_requests
        self.rows = self.bytes = self.requests = 0
        self._seconds_per_row = 1.0
        self._last_finish = time.monotonic()

    @contextmanager
    def reserve(self, rows: int) -> Iterator[Callable[[int], None]]:
        """Reserve `rows` for the duration of the `with` block. Their rate counts if the block raises nothing.

        Yields:
            A function that enlarges the reservation to a number of rows.

        Raises:
            QueueFull: there is no room for all rows; the function raises it too.
        """
        own = 0

        def enlarge(rows: int) -> None:
            nonlocal own
            others = self.rows - own
            if others + rows > self.queue_size:
                raise QueueFull(
                    f"The queue has room for {self.queue_size - others} rows, the request has {rows}; try again later.",
                    retry_after_s=self._seconds_for(others + rows - self.queue_size),
                )
            own = max(own, rows)
            self.rows = others + own

        if self.rows == 0:
            self._last_finish = time.monotonic()
        enlarge(rows)
        try:
            yield enlarge
            self._measure(own)
        finally:
            self.rows -= own

    def hold_bytes(self, size: int) -> None:
        """Count bytes that have arrived; `release_bytes` releases them when their request ends.

        Raises:
            QueueFull: more bytes would be in flight than allowed.
        """
        if self.bytes + size > self.queue_bytes:
            raise QueueFull(
                f"The requests in flight hold all of the {self.queue_bytes:,} bytes that are allowed; try again later.",
                retry_after_s=self._seconds_for(self.rows / 2),
            )
        self.bytes += size

    def release_bytes(self, size: int) -> None:
        self.bytes -= size

    def enter(self) -> None:
        """Count a request whose body is complete, until `leave` is called.

        Raises:
            QueueFull: as many requests as allowed are in flight.
        """
        if self.requests >= self.max_concurrent_requests:
            raise QueueFull(
                f"{self.requests} requests are in flight, which is the maximum; try again later.",
                retry_after_s=self._seconds_for(self.rows / self.requests),
            )
        self.requests += 1

    def leave(self) -> None:
        self.requests -= 1

    def _measure(self, rows: int) -> None:
        now = time.monotonic()
        self._seconds_per_row += SMOOTHING * ((now - self._last_finish) / rows - self._seconds_per_row)
        self._last_finish = now

    def _seconds_for(self, rows: float) -> int:
        """Whole seconds, at least 1, that this number of rows takes at the measured rate."""
        return max(1, math.ceil(rows * self._seconds_per_row))


class HeldBytes:
    """The bytes that one request holds: those of its body and of its remote images."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.size = 0
        self._is_over = False

    def add(self, size: int) -> None:
        """Count more bytes, unless the request has ended.

        Raises:
            QueueFull: more bytes would be in flight than allowed.
        """
        if self._is_over:
            return  # a remote image that arrives now belongs to a fetch that is being cancelled
        self._admission.hold_bytes(size)
        self.size += size

    def release(self) -> None:
        self._is_over = True
        self._admission.release_bytes(self.size)
