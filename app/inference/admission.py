"""Who gets in: the bounds on the rows, the body bytes and the requests that are in the house at once."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import QueueFull

SMOOTHING = 0.2  # weight of the newest measurement of the service rate


class Admission:
    """Admits a request whole or refuses it whole, and says when there may be room."""

    def __init__(self, queue_size: int, queue_bytes: int, max_concurrent_requests: int) -> None:
        self.queue_size, self.queue_bytes = queue_size, queue_bytes
        self.max_concurrent_requests = max_concurrent_requests
        self.rows = self.bytes = self.requests = 0
        self._seconds_per_row = 1.0
        self._last_finish = time.monotonic()

    @contextmanager
    def reserve(self, rows: int) -> Iterator[Callable[[int], None]]:
        """Hold room for `rows` while the body runs; it is given what makes that room for more, and raises the same.

        Raises:
            QueueFull: there is no room for all of them.
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
        finally:
            self.rows -= own
            self._measure(own)

    def hold_bytes(self, size: int) -> None:
        """Count bytes of a body that has arrived; `release_bytes` gives them back when its request is answered.

        Raises:
            QueueFull: the bodies in the house would be larger than allowed.
        """
        if self.bytes + size > self.queue_bytes:
            raise QueueFull(
                f"The requests that are being answered hold the {self.queue_bytes:,} bytes that are allowed; "
                "try again later.",
                retry_after_s=self._seconds_for(self.rows / 2),
            )
        self.bytes += size

    def release_bytes(self, size: int) -> None:
        self.bytes -= size

    def enter(self) -> None:
        """Count a request whose body is there; `leave` ends it.

        Raises:
            QueueFull: too many are being answered.
        """
        if self.requests >= self.max_concurrent_requests:
            raise QueueFull(
                f"{self.requests} requests are being answered, which is as many as are allowed; try again later.",
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
        """Whole seconds, at least 1, in which so many rows are answered at the measured rate."""
        return max(1, math.ceil(rows * self._seconds_per_row))


class HeldBytes:
    """What one request holds of the bytes in the house: those of its body, and of the images behind its URLs."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.size = 0
        self._is_over = False

    def add(self, size: int) -> None:
        """Count more of them, unless the request has ended; raises as `Admission.hold_bytes`."""
        if self._is_over:
            return  # what it still fetched is being cancelled
        self._admission.hold_bytes(size)
        self.size += size

    def release(self) -> None:
        self._is_over = True
        self._admission.release_bytes(self.size)
