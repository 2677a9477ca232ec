"""Answers that come before the client has sent its whole request arrive, and what a client gains from it is bounded."""

import asyncio
import http.client
import json
import time
from contextlib import closing
from typing import Any
from unittest.mock import Mock

import httpx
import pytest

from app.connections import lingering_transport
from app.connections.lingering_transport import LingeringTransport
from model.engine import EmbeddingEngine
from tests.support.servers.raw_http import post
from tests.support.servers.thread_server import ThreadServer, serving_in_thread

LARGE = b'"' + b"a" * 19_999_999  # begins as JSON
KEY = "secret-key"
CUT = (ConnectionResetError, BrokenPipeError)
AUTHORIZED = {"x-api-key": KEY}
REFUSALS = [
    (401, {}, {}),
    (413, AUTHORIZED, {"max_body_bytes": 1_000_000}),
    (415, AUTHORIZED | {"content-encoding": "br"}, {}),
    (431, AUTHORIZED | {"x-request-id": "a" * 101}, {}),
]


def statuses(
    server: ThreadServer,
    headers: dict[str, str],
) -> list[int]:
    """Send the large body some times over connections that end with it; returns what the client saw."""
    found = []
    for _ in range(20):
        with closing(http.client.HTTPConnection(*server.address, timeout=30)) as connection:
            connection.request("POST", "/embed", LARGE, {"connection": "close"} | headers)
            with connection.getresponse() as answer:
                assert json.load(answer)["code"]
                found.append(answer.status)
    return found


@pytest.mark.parametrize(("status", "headers", "settings"), REFUSALS, ids=lambda value: str(value)[:3])
def test_a_refusal_arrives_although_the_client_is_still_sending(
    status: int, headers: dict[str, str], settings: dict[str, Any], engine: EmbeddingEngine
) -> None:
    with serving_in_thread(engine, api_keys=KEY, **settings) as server:
        assert statuses(server, headers) == [status] * 20


def test_a_refusal_in_the_middle_of_a_body_arrives(engine: EmbeddingEngine) -> None:
    limits = {"max_body_bytes": len(LARGE), "queue_bytes": len(LARGE)}
    with serving_in_thread(engine, **limits) as server, server.connect() as other:
        other.send(post(LARGE)[:15_000_000])
        assert statuses(server, {}) == [429] * 20


def test_a_late_body_is_refused_although_the_client_is_still_sending(engine: EmbeddingEngine) -> None:
    with serving_in_thread(engine, body_timeout_s=0.2) as server, server.connect() as client:
        request = post(LARGE, b"Connection: close")
        client.send(request[:100_000])
        time.sleep(0.5)
        (answer,) = client.ask(request[100_000:])
    assert (answer.status, answer.code) == (408, "body_timeout")


def test_a_client_that_sends_without_end_is_cut(engine: EmbeddingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering_transport, "DISCARDED_BYTES", 10_000_000)
    with serving_in_thread(engine, api_keys=KEY) as server, server.connect() as client, pytest.raises(CUT):
        client.send(post(bytes(60_000_000), b"Connection: close"), LARGE)


@pytest.mark.parametrize("keeps", [b"Connection: close", b"Connection: keep-alive"])
def test_a_client_that_sends_in_drops_is_cut(
    keeps: bytes, engine: EmbeddingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering_transport, "DISCARD_S", 1.0)
    with serving_in_thread(engine, api_keys=KEY) as server, server.connect() as client:
        client.send(post(LARGE, keeps)[:1000])
        with pytest.raises(CUT):
            client.send_slowly(b"a" * 200, pause_s=0.05)


def test_a_client_that_neither_sends_nor_leaves_is_cut(
    engine: EmbeddingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering_transport, "SILENCE_S", 0.2)
    with serving_in_thread(engine) as server, server.connect() as client:
        client.ask(b"GET /health/live HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n")
        deadline = time.monotonic() + 10
        while server.server.server_state.connections:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_an_answer_that_is_read_slowly_arrives_whole(engine: EmbeddingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering_transport, "SILENCE_S", 0.1)
    with serving_in_thread(engine) as server:
        expected = httpx.get(f"{server.url}/openapi.json").content
        with server.connect() as client:
            client.send(b"GET /openapi.json HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n")
            time.sleep(1)
            (answer,) = client.answers()
    assert answer.body == expected


def test_a_client_that_has_reset_the_connection_is_cut_at_the_close() -> None:
    inner = Mock(is_closing=lambda: False, get_write_buffer_size=lambda: 0, write_eof=Mock(side_effect=OSError))
    loop = Mock(spec=asyncio.AbstractEventLoop)
    LingeringTransport(inner, loop).close()
    inner.abort.assert_called_once_with()
    loop.call_later.assert_not_called()
