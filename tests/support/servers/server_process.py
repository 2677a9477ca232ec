"""A server process that a test can observe, signal and kill."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.support.servers.serving import start_server

PATIENCE_S = 30


class Server:
    """A server process and its log lines so far."""

    def __init__(self, model: Path | str, **settings: Any) -> None:
        self.process, self.url = start_server(model, **settings)
        self.address = (urlsplit(self.url).hostname, urlsplit(self.url).port)
        self.log: list[str] = []
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self.log.extend(lines)

    def ended(self) -> int:
        """Wait until the process ends; returns its exit status."""
        status = self.process.wait(PATIENCE_S)
        self._reading.join()
        return status

    def counters(self) -> dict[str, int]:
        counters: dict[str, int] = httpx.get(f"{self.url}/info").json()["counters"]
        return counters

    def in_flight(self) -> int:
        return self.counters()["requests_in_flight"]

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, PATIENCE_S)


@contextmanager
def started(model: Path | str, **settings: Any) -> Iterator[Server]:
    server = Server(model, **settings)
    try:
        yield server
    finally:
        server.process.kill()
        server.ended()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.01)
