"""Admission control: bounds on the rows, the body bytes and the requests in flight."""

import math
import time
from collections.abc import Iterator
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
    def reserve(self, rows: int) -> Iterator["Reservation"]:
        """Reserve `rows` for the duration of the `with` block.

        The rate of the computed rows counts if the block raises nothing.

        Raises:
            QueueFull: there is no room for all rows.
        """
        if self.rows == 0:
            self._last_finish = time.monotonic()
        reservation = Reservation(self)
        reservation.enlarge(rows)
        try:
            yield reservation
            if computed := min(reservation.rows, reservation.computed_items):
                self._measure(computed)
        finally:
            self.rows -= reservation.rows

    def hold_bytes(self, size: int) -> None:
        """Count bytes that have arrived; `release_bytes` releases them when their request ends.

        Raises:
            QueueFull: more bytes would be in flight than allowed.
        """
        if self.bytes + size > self.queue_bytes:
            raise QueueFull(
                f"The requests in flight hold all of the {self.queue_bytes:,} bytes that are allowed; try again later.",
                retry_after_s=self.seconds_for(self.rows / 2),
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
                retry_after_s=self.seconds_for(self.rows / self.requests),
            )
        self.requests += 1

    def leave(self) -> None:
        self.requests -= 1

    def _measure(self, rows: int) -> None:
        now = time.monotonic()
        self._seconds_per_row += SMOOTHING * ((now - self._last_finish) / rows - self._seconds_per_row)
        self._last_finish = now

    def seconds_for(self, rows: float) -> int:
        """Whole seconds, at least 1, that this number of rows takes at the measured rate."""
        return max(1, math.ceil(rows * self._seconds_per_row))


class Reservation:
    """The rows that one request holds."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.rows = 0
        self.computed_items = 0
        """Images and texts that were computed, which the holder sets; a row with both counts once."""

    def enlarge(self, rows: int) -> None:
        """Hold this number of rows in all; a smaller number than before changes nothing.

        Raises:
            QueueFull: there is no room for all rows.
        """
        others, most = self._admission.rows - self.rows, self._admission.queue_size
        if others + rows > most:
            raise QueueFull(
                f"The queue has room for {most - others} rows, the request has {rows}; try again later.",
                retry_after_s=self._admission.seconds_for(others + rows - most),
            )
        self.rows = max(self.rows, rows)
        self._admission.rows = others + self.rows


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
