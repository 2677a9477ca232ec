"""What a client may send before its request reaches the application, and how long it may take."""

import json
import re
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from app.connections.connection import MAX_PIPELINED
from app.connections.header_limits import MAX_HEADER_BYTES, MAX_HEADER_FIELDS
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, table
from tests.support.servers.raw_http import LIVE, Answer, post
from tests.support.servers.thread_server import ThreadServer, serving_in_thread

GET = b"GET /health/live HTTP/1.1\r\nHost: it\r\n"
CLOSE = b"Connection: close\r\n\r\n"
CHUNKED = b"POST /embed HTTP/1.1\r\nHost: it\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = json.dumps(table(["text"], [[TEXT]])).encode()
KEY = "secret-key"


@pytest.fixture(scope="module")
def server(engine: EmbeddingEngine) -> Iterator[ThreadServer]:
    with serving_in_thread(engine, header_timeout_s=1.0, body_timeout_s=5.0) as server:
        yield server


def assert_refused(answers: list[Answer], status: int, code: str) -> None:
    (answer,) = answers
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * MAX_HEADER_BYTES,
        b"GET /?" + b"a" * MAX_HEADER_BYTES + b" HTTP/1.1\r\nHost: it\r\n\r\n",
        GET + b"X: " + b"a" * MAX_HEADER_BYTES + b"\r\n\r\n",
        GET + b"X" * MAX_HEADER_BYTES + b": a\r\n\r\n",
        GET + b"X: " + b" " * 400_000 + b"\r\n\r\n",
        GET + b"X: " + b"a" * 400_000,
        GET + b"".join(b"X%d: %s\r\n" % (number, b"a" * 6000) for number in range(12)) + b"\r\n",
        GET + b"X: a\r\n" * MAX_HEADER_FIELDS + b"\r\n",
        GET + b"a:\r\n" * 16_000,
        b"\r\n" * 200_000,
        CHUNKED + b"1;" + b"a" * 400_000,
        CHUNKED + b"1\r\n{\r\n" + b"0" * 400_000,
        CHUNKED + b"0\r\n" + b"X: a\r\n" * 60_000,
        LIVE[:-2] + b"Upgrade: h2c\r\nConnection: Upgrade\r\nX: " + b"a" * 400_000,
    ],
    ids=lambda head: head[:30].decode() + f"... ({len(head)})",
)
def test_a_header_beyond_the_limits_is_refused_and_the_connection_closed(head: bytes, server: ThreadServer) -> None:
    with server.connect() as client:
        assert_refused(client.ask(head), 431, "header_too_large")


def test_a_request_that_cannot_be_read_counts_for_no_route(server: ThreadServer) -> None:
    def counted(route: str) -> float:
        lines = httpx.get(f"{server.url}/metrics").text.splitlines()
        wanted = f'medimageinsight_requests_total{{route="{route}",status="431"}}'
        return sum(float(line.split()[1]) for line in lines if line.startswith(wanted))

    before = counted("unmatched"), counted("/")
    with server.connect() as client:
        assert_refused(client.ask(b"POST /embed HTTP/1.1\r\nX: " + b"a" * 400_000), 431, "header_too_large")
    assert (counted("unmatched"), counted("/")) == (before[0] + 1, before[1])


def test_a_header_in_trickles_is_refused_at_the_same_limit(server: ThreadServer) -> None:
    with server.connect() as client:
        client.send(GET + b"X: ", *[b"a" * 4096] * 15)
        client.send(b"a" * 8192)
        assert_refused(client.answers(), 431, "header_too_large")


def test_a_header_within_the_limits_is_answered(server: ThreadServer) -> None:
    fields = b"".join(b"X%d: a\r\n" % number for number in range(MAX_HEADER_FIELDS - 3))
    with server.connect() as client:
        (answer,) = client.ask(GET + fields, b"Y: " + b"a" * 60_000, b"\r\n" + CLOSE)
    assert answer.status == 200


def test_a_header_beyond_the_limit_is_refused_behind_a_pipelined_request(server: ThreadServer) -> None:
    with server.connect() as client:
        first, *rest = client.ask(LIVE + GET + b"X: " + b"a" * 400_000)
    assert first.status == 200
    assert_refused(rest, 431, "header_too_large")


def test_endless_headers_keep_no_memory(server: ThreadServer) -> None:
    """The parser and the request are dropped with the refusal; what follows is counted and discarded."""
    with server.connect() as client:
        client.send(GET + b"X: " + b"a" * 200_000)
        until_refused = client.socket.recv(65536)
        client.send(*[b"a" * 1_000_000] * 50)
        (connection,) = server.server.server_state.connections
        assert b" 431 " in until_refused
        assert len(connection.headers) <= 1  # type: ignore[union-attr]  # uvicorn knows other protocols


def test_a_refusal_is_in_the_metrics(server: ThreadServer) -> None:
    with server.connect() as client:
        client.ask(GET + b"X: " + b"a" * 400_000)
    metrics = httpx.get(f"{server.url}/metrics").text
    assert re.search(r'requests_total\{.*status="431"', metrics)


def test_half_a_header_is_refused_after_its_time(server: ThreadServer) -> None:
    start = time.monotonic()
    with server.connect() as client:
        assert_refused(client.ask(GET), 408, "header_timeout")
    assert 0.9 < time.monotonic() - start < 10


def test_a_header_in_drops_is_refused_after_its_time(server: ThreadServer) -> None:
    with server.connect() as client:
        client.send_slowly(GET, pause_s=0.05)
        assert_refused(client.answers(), 408, "header_timeout")


def test_half_a_header_behind_a_request_is_refused_after_its_time(server: ThreadServer) -> None:
    with server.connect() as client:
        client.send(LIVE)
        client.socket.recv(65536)
        assert_refused(client.ask(GET), 408, "header_timeout")


@pytest.mark.parametrize("sent", [b"", b"\r\n", LIVE])
def test_a_connection_without_a_request_is_closed(sent: bytes, server: ThreadServer) -> None:
    with server.connect() as client:
        statuses = [answer.status for answer in client.ask(sent)]
    assert statuses == {b"": [], b"\r\n": [408], LIVE: [200]}[sent]


def test_blank_lines_do_not_keep_an_idle_connection_open(server: ThreadServer) -> None:
    with server.connect() as client:
        client.send(LIVE)
        client.send_slowly(b"\r\n" * 20, pause_s=0.05)
        assert [answer.status for answer in client.answers()] == [200, 408]


def test_a_refused_body_that_never_ends_does_not_keep_the_connection_open(engine: EmbeddingEngine) -> None:
    with serving_in_thread(engine, api_keys=KEY) as server, server.connect() as client:
        client.send(CHUNKED + b"1\r\na\r\n")
        assert b" 401 " in client.socket.recv(65536)
        client.socket.settimeout(20)
        assert client.socket.recv(65536) == b""  # the idle limit


def test_a_refused_body_that_ends_leaves_the_connection_usable(engine: EmbeddingEngine) -> None:
    with serving_in_thread(engine, api_keys=KEY) as server, server.connect() as client:
        request = post(bytes(100_000))
        answers = client.ask(request[:50_000], request[50_000:], GET + CLOSE)
    assert [answer.status for answer in answers] == [401, 200]


def test_pipelined_requests_are_answered_in_order(server: ThreadServer) -> None:
    with server.connect() as client:
        requests = [LIVE, post(BODY), GET.replace(b"/health/live", b"/nowhere") + b"\r\n", post(b"["), GET + CLOSE]
        statuses = [answer.status for answer in client.ask(b"".join(requests))]
    assert statuses == [200, 200, 404, 400, 200]


def test_a_pipelined_request_that_is_not_http_is_answered_in_its_turn(server: ThreadServer) -> None:
    with server.connect() as client:
        answers = client.ask(post(BODY) + b"no HTTP\r\n\r\n")
    assert [answer.status for answer in answers] == [200, 400]
    assert_refused(answers[1:], 400, "invalid_http")


def test_more_pipelined_requests_than_are_queued_are_left_to_another_connection(server: ThreadServer) -> None:
    with server.connect() as client:
        answers = client.ask(LIVE * 10_000)
    assert [answer.status for answer in answers] == [200] * (MAX_PIPELINED + 1)
    assert answers[-1].headers["connection"] == "close"


def test_a_body_that_is_not_http_is_refused(server: ThreadServer) -> None:
    with server.connect() as client:
        assert_refused(client.ask(CHUNKED + b"1\r\n{\r\nno chunk\r\n"), 400, "invalid_http")


def test_a_trailer_is_not_a_header_of_any_request(engine: EmbeddingEngine) -> None:
    chunk = b"%x\r\n%s\r\n0\r\nX-Api-Key: %s\r\n\r\n" % (len(BODY), BODY, KEY.encode())
    with serving_in_thread(engine, api_keys=KEY) as server, server.connect() as client:
        answers = client.ask(CHUNKED + chunk, post(BODY), GET + CLOSE)
    assert [answer.status for answer in answers] == [401, 401, 200]


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    ],
    ids=["websocket", "h2c"],
)
@pytest.mark.parametrize("apart", [False, True], ids=["body at once", "body apart"])
def test_a_request_to_change_the_protocol_is_answered_with_its_body(
    upgrade: bytes, apart: bool, server: ThreadServer
) -> None:
    request = post(BODY, upgrade)
    parts = (request[: -len(BODY)], request[-len(BODY) :]) if apart else (request,)
    with server.connect() as client:
        client.send(*parts[:1])
        time.sleep(0.1)  # the header is parsed before the body arrives
        answers = client.ask(*parts[1:], LIVE[:-2] + upgrade + b"\r\n\r\n", GET + CLOSE)
    assert [answer.status for answer in answers] == [200, 200, 200]


def test_the_body_of_a_request_to_change_the_protocol_is_not_a_request(server: ThreadServer) -> None:
    inner = GET + CLOSE
    with server.connect() as client:
        client.send(post(inner, b"Upgrade: h2c", b"Connection: Upgrade")[: -len(inner)])
        time.sleep(0.1)
        answers = client.ask(inner, b"", GET + CLOSE)
    assert [answer.status for answer in answers] == [400, 200]


@pytest.mark.parametrize("preface", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"])
def test_another_protocol_is_refused(preface: bytes, server: ThreadServer) -> None:
    with server.connect() as client:
        assert_refused(client.ask(preface), 400, "invalid_http")


def test_a_body_is_asked_for_once_it_is_wanted(server: ThreadServer) -> None:
    request = post(BODY, b"Expect: 100-continue")
    with server.connect() as client:
        client.send(request[: -len(BODY)])
        assert client.socket.recv(65536).startswith(b"HTTP/1.1 100 ")
        answers = client.ask(BODY, GET + CLOSE)
    assert [answer.status for answer in answers] == [200, 200]


@pytest.mark.parametrize(
    ("fields", "status"),
    [((b"X-Api-Key: wrong",), 403), ((), 401), ((b"X-Api-Key: secret-key", b"Content-Encoding: br"), 415)],
)
def test_a_body_that_is_refused_is_not_asked_for(
    fields: tuple[bytes, ...], status: int, engine: EmbeddingEngine
) -> None:
    request = post(BODY, b"Expect: 100-continue", *fields)[: -len(BODY)]
    with serving_in_thread(engine, api_keys=KEY) as server, server.connect() as client:
        (answer,) = client.ask(request)
    assert (answer.status, answer.headers["connection"]) == (status, "close")


def test_a_client_that_ends_its_side_in_a_header_gets_no_answer(server: ThreadServer) -> None:
    with server.connect() as client:
        client.send(GET)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answers() == []
