"""The open connections of a server: which ones wait for their client, and which of them goes first."""

import logging
import sys
import time
from collections import OrderedDict
from typing import Protocol

logger = logging.getLogger("medimageinsight")
RESERVED_HANDLES = 64  # for files, fetched images, and the connections of a moment in which no other one can be closed
FEWEST = 2  # connections that may stay, however few handles the rest of the process leaves
REPORT_EVERY_S = 60.0


class Droppable(Protocol):
    """A connection that can be closed."""

    def drop(self) -> None:
        """Free the handle of the connection at once."""


class OpenConnections:
    """Keeps handles free for new connections by dropping the one that has waited longest for its client.

    A connection is never dropped between its complete request and the answer.

    Args:
        max_handles: number of files that the process may open; default None reads the limit of the process.

    Attributes:
        idle: connections without a request, the longest idle first; those in the middle of a header belong to them.
        receiving: connections whose request body is arriving, in the order in which the bodies began.
        stopping: whether every answer is the last one on its connection.
    """

    def __init__(self, max_handles: int | None = None) -> None:
        self.idle: OrderedDict[Droppable, None] = OrderedDict()
        self.receiving: OrderedDict[Droppable, None] = OrderedDict()
        self.stopping = False
        self._max_handles = _handle_limit() if max_handles is None else max_handles
        self._crowded_from = self._max_handles - min(RESERVED_HANDLES, self._max_handles // 4)
        self._count, self._most = 0, self._max_handles
        self._dropped, self._reported_s = 0, -REPORT_EVERY_S

    def opened(self, connection: Droppable, handle: int) -> None:
        """Add a connection, and drop another one if few handles are left.

        Args:
            connection: the new connection; it waits for its client.
            handle: its file descriptor. The system gives the lowest free number, so all lower ones are taken.
        """
        self._count += 1
        if handle >= self._crowded_from:
            others = handle + 1 - self._count
            self._most = max(self._crowded_from - others, FEWEST)
        elif self._count <= self._most // 2:
            self._most = self._max_handles  # the other handles of the process are counted anew at the next crowd
        if self._count > self._most:
            self._drop_one()
        self.idle[connection] = None

    def closed(self, connection: Droppable) -> None:
        """Remove a connection that is lost."""
        self._count -= 1
        self.idle.pop(connection, None)
        self.receiving.pop(connection, None)

    def _drop_one(self) -> None:
        waiting = self.idle or self.receiving
        if waiting:
            oldest, _ = waiting.popitem(last=False)
            oldest.drop()
            self._report()

    def _report(self) -> None:
        self._dropped += 1
        now_s = time.monotonic()
        if now_s - self._reported_s >= REPORT_EVERY_S:
            logger.warning(
                "connections that waited for their client were closed: %d; the process may open only %d files, and a "
                "higher limit (ulimit -n) keeps more of them",
                self._dropped,
                self._max_handles,
            )
            self._dropped, self._reported_s = 0, now_s


def _handle_limit() -> int:
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
