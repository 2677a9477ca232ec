"""Who gets in: the bound on the rows that are in the house at once."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import QueueFull

SMOOTHING = 0.2  # weight of the newest measurement of the service rate


class Admission:
    """Admits a request whole or refuses it whole."""

    def __init__(self, queue_size: int) -> None:
        self.queue_size = queue_size
        self.rows = 0
        self._seconds_per_row = 1.0
        self._last_finish = time.monotonic()

    @contextmanager
    def reserve(self, rows: int) -> Iterator[None]:
        """Hold room for `rows` while the body runs.

        Raises:
            QueueFull: there is no room for all of them; says when there may be.
        """
        if self.rows + rows > self.queue_size:
            raise QueueFull(
                f"The queue has room for {self.queue_size - self.rows} rows, the request has {rows}; try again later.",
                retry_after_s=self._seconds_until_room(rows),
            )
        if self.rows == 0:
            self._last_finish = time.monotonic()
        self.rows += rows
        try:
            yield
        finally:
            self.rows -= rows
            self._measure(rows)

    def _measure(self, rows: int) -> None:
        now = time.monotonic()
        self._seconds_per_row += SMOOTHING * ((now - self._last_finish) / rows - self._seconds_per_row)
        self._last_finish = now

    def _seconds_until_room(self, rows: int) -> int:
        missing = self.rows + rows - self.queue_size
        return max(1, math.ceil(missing * self._seconds_per_row))
