"""Clients that do not read their answers, and clients that leave before them."""

import json
import logging
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from app.connections import lingering_transport
from app.connections.connection import Connection
from model.engine import EmbeddingEngine
from tests.support.held_engine import HeldEngine
from tests.support.samples import TEXT, table
from tests.support.servers.raw_http import LIVE, post
from tests.support.servers.server_process import until
from tests.support.servers.thread_server import ThreadServer, serving_in_thread

BODY = json.dumps(table(["text"], [[TEXT]])).encode()
KEY = "secret-key"


@pytest.fixture
def held(engine: EmbeddingEngine) -> HeldEngine:
    return HeldEngine(engine)


@pytest.fixture
def server(held: HeldEngine) -> Iterator[ThreadServer]:
    with serving_in_thread(held) as server:
        yield server


def only_connection(server: ThreadServer) -> Connection:
    until(lambda: len(server.server.server_state.connections) == 1)
    (connection,) = server.server.server_state.connections
    assert isinstance(connection, Connection)
    return connection


def limit_unsent_bytes(connection: Connection) -> None:
    """Let the system keep few bytes of an answer, so that the rest waits in the server."""
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


@pytest.mark.parametrize("reads", [False, True], ids=["reads nothing", "reads slowly"])
def test_a_client_that_does_not_read_its_answers_is_cut(
    reads: bool, server: ThreadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering_transport, "SILENCE_S", 0.1)
    monkeypatch.setattr(lingering_transport, "STALL_S", 0.5)
    large = post(json.dumps(table(["text"], [[TEXT]] * 400)).encode())
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(server.address)
        connection = only_connection(server)
        limit_unsent_bytes(connection)
        client.sendall(large * 2)
        until(lambda: connection.flow.write_paused and server.service.admission.requests == 1)
        for _ in range(30 if reads else 0):
            time.sleep(0.05)
            client.recv(2048)
            assert server.service.admission.requests == 1
        until(lambda: not server.server.server_state.tasks)
        assert server.service.admission.requests == 0
        assert not server.server.server_state.connections


def test_a_pipelined_request_is_dropped_when_its_client_disconnects(
    server: ThreadServer, held: HeldEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with held.holding():
        with server.connect() as client:
            client.send(post(BODY) + LIVE)
            until(lambda: server.service.admission.requests == 1)
        until(lambda: not server.server.server_state.tasks)
        assert server.service.admission.requests == 0
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_no_request_runs_for_a_client_that_has_left(server: ThreadServer, held: HeldEngine) -> None:
    with held.holding():
        with server.connect() as client:
            client.send(post(BODY) + post(BODY))
            until(lambda: held.texts_seen == 1)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        until(lambda: not server.server.server_state.tasks)
    assert held.texts_seen == 1


def test_a_connection_whose_complete_request_is_not_answered_does_not_count_as_receiving(
    server: ThreadServer, held: HeldEngine
) -> None:
    with server.connect() as client:
        connection = only_connection(server)
        with held.holding():
            client.send(post(BODY) + post(BODY)[:-1])
            until(lambda: server.service.admission.requests == 1)
            assert connection not in connection._open.receiving
        until(lambda: connection in connection._open.receiving)
        answers = client.ask(BODY[-1:], LIVE[:-2] + b"Connection: close\r\n\r\n")
    assert [answer.status for answer in answers] == [200, 200, 200]


def test_a_body_that_nobody_read_is_freed_with_the_answer(engine: EmbeddingEngine) -> None:
    with serving_in_thread(engine, api_keys=KEY) as server, server.connect() as client:
        client.send(post(bytes(60_000)))
        assert b" 401 " in client.socket.recv(65536)
        assert only_connection(server).cycle.body == b""


def test_a_reset_connection_keeps_no_timer(server: ThreadServer) -> None:
    with server.connect() as client:
        connection = only_connection(server)
        client.send(LIVE)
        client.socket.recv(65536)
        until(lambda: connection.timeout_keep_alive_task is not None)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: not server.server.server_state.connections)
    until(lambda: connection.parser is None)
    assert connection.timeout_keep_alive_task is None
