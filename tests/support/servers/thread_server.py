"""The server of the command `serve` in a thread of the tests, with an engine that is loaded already."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI

from app.connections.listening import listen
from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.server import DrainingServer
from app.service import Service
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.servers.raw_http import Client


class ThreadServer:
    """A server on loopback; port 0 takes a free port."""

    def __init__(self, app: FastAPI, port: int = 0) -> None:
        self._listening = listen("127.0.0.1", port)
        self.address: tuple[str, int] = self._listening.getsockname()
        self.url = "http://{}:{}".format(*self.address)
        self.service: Service = app.state.service
        self.server = DrainingServer(app, self.service)
        self._thread = threading.Thread(target=self.server.run, args=([self._listening],))
        self._thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def connect(self) -> Client:
        return Client(self.address)

    def signal(self) -> None:
        """Act as on the first SIGTERM."""
        self.server.handle_exit(signal.SIGTERM, None)

    def ended(self) -> None:
        self._thread.join()


@contextmanager
def serving_app_in_thread(app: FastAPI, port: int = 0) -> Iterator[ThreadServer]:
    server = ThreadServer(app, port)
    try:
        yield server
    finally:
        if not server.service.stopping:  # a second signal would end the tests
            server.signal()
        server.ended()


@contextmanager
def serving_in_thread(engine: EmbeddingEngine, **settings: Any) -> Iterator[ThreadServer]:
    with serving_app_in_thread(create_app(Settings(**settings), LoadedModel(engine, imports_s=0.0))) as server:
        yield server
