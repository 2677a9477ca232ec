"""A client that is sending while the server stops sees an answer or a refused connection, never a reset."""

import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from app import server as stopping
from model.engine import EmbeddingEngine
from tests.support.held_engine import HeldEngine
from tests.support.samples import TEXT, encoded, png, table
from tests.support.servers.raw_http import LIVE, post
from tests.support.servers.server_process import until
from tests.support.servers.thread_server import ThreadServer, serving_in_thread

SMALL = json.dumps(table(["text"], [[TEXT]])).encode()
LARGE = json.dumps("a" * 2_000_000).encode()  # has the wrong form
CLOSE = {"connection": "close"}


def ask_until_the_end(server: ThreadServer, body: bytes, headers: dict[str, str]) -> list[str]:
    """Send requests until the server can no longer be reached; returns what came back for each."""
    seen: list[str] = []
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    with closing(connection):
        while True:
            try:
                connection.request("POST", "/embed", body, {"content-type": "application/json"} | headers)
                with connection.getresponse() as answer:
                    answer.read()
                    seen.append(str(answer.status))
            except ConnectionRefusedError:
                return seen
            except (OSError, http.client.HTTPException) as error:
                seen.append(type(error).__name__)
                connection.close()


@pytest.mark.parametrize(
    ("body", "headers"),
    [(SMALL, {}), (SMALL, CLOSE), (LARGE, {}), (LARGE, CLOSE)],
    ids=["small, kept", "small, new", "large, kept", "large, new"],
)
def test_a_stop_under_load_resets_nobody(body: bytes, headers: dict[str, str], engine: EmbeddingEngine) -> None:
    seen: list[str] = []
    for _ in range(3):
        with serving_in_thread(engine) as server, ThreadPoolExecutor(20) as clients:
            outcomes = [clients.submit(ask_until_the_end, server, body, headers) for _ in range(20)]
            time.sleep(0.5)
            server.signal()
            seen += [outcome for client in outcomes for outcome in client.result()]
    assert set(seen) <= {"200", "400", "503"}


def test_a_request_that_is_on_its_way_at_the_stop_is_answered(engine: EmbeddingEngine) -> None:
    with (
        serving_in_thread(engine) as server,
        server.connect() as kept,
        server.connect() as new,
        server.connect() as half,
    ):
        kept.send(LIVE)
        kept.socket.recv(65536)
        half.send(LIVE[:-2])
        server.signal()
        until(lambda: not any(listening.is_serving() for listening in server.server.servers))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.address)
        for client in (kept, new):
            (answer,) = client.ask(post(SMALL))
            assert (answer.status, answer.code, answer.headers["connection"]) == (503, "not_ready", "close")
        (answer,) = half.answers()
        assert (answer.status, answer.code) == (503, "not_ready")


def test_a_client_that_is_in_the_handshake_at_the_stop_is_answered(
    engine: EmbeddingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loopback has no half-open connections: one that is made after the filter is attached stands for them."""
    attached = threading.Event()
    monkeypatch.setattr(stopping, "ignore_new", lambda _: attached.set())
    with serving_in_thread(engine) as server:
        server.signal()
        assert attached.wait(10)
        time.sleep(0.02)
        with server.connect() as client:
            (answer,) = client.ask(LIVE)
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_a_body_that_is_on_its_way_at_the_stop_is_answered_without_a_reset(engine: EmbeddingEngine) -> None:
    with serving_in_thread(engine) as server, server.connect() as client:
        request = post(json.dumps(table(["text"], [["a" * 100_000]] * 10)).encode())
        client.send(request[:500_000])
        server.signal()
        time.sleep(1)
        (answer,) = client.ask(request[500_000:])
    assert answer.status in (200, 503)


def test_sixty_images_in_flight_at_the_stop_are_answered(engine: EmbeddingEngine) -> None:
    held = HeldEngine(engine)
    with ExitStack() as clients, serving_in_thread(held) as server:
        connections = [clients.enter_context(server.connect()) for _ in range(60)]
        with held.holding():
            for connection in connections:
                connection.send(post(json.dumps(table(["image", "text"], [[encoded(png()), TEXT]])).encode()))
            until(lambda: server.service.admission.requests == 60)
            server.signal()
        answers = [connection.answers() for connection in connections]
    assert [answer.status for (answer,) in answers] == [200] * 60


@pytest.mark.timing
def test_a_stop_with_idle_connections_is_quick(engine: EmbeddingEngine) -> None:
    with serving_in_thread(engine) as server, server.connect() as client:
        client.send(LIVE)
        client.socket.recv(65536)
        start = time.monotonic()
        server.signal()
        server.ended()
        assert time.monotonic() - start < 2
