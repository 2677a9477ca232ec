"""Clients that connect to a real server process: many at once, and some that misbehave."""

import http.client
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from model.engine import EmbeddingEngine
from tests.support.samples import (
    TEXT,
    assert_close,
    assert_refused,
    encoded,
    png,
    table,
    text_vector,
    vectors,
)
from tests.support.servers.server_process import PATIENCE_S, Server, started, until
from tests.support.servers.serving import wait_until_ready

SECRET = "SECRET-7f3a"


@pytest.fixture(scope="module")
def server(small_release: Path) -> Iterator[Server]:
    """A server with the most detailed log and small limits, for all tests that do not change it."""
    with started(small_release, log_level="debug", body_timeout_s=1, max_body_bytes=4_000_000) as server:
        wait_until_ready(server.url)
        yield server
        server.process.terminate()
        assert server.ended() == 0
        assert [line for line in server.log if "Traceback" in line or " ERROR " in line] == []


@pytest.fixture
def next_request_is_right(server: Server, engine: EmbeddingEngine) -> Iterator[None]:
    yield
    answer = httpx.post(f"{server.url}/embed", json=table(["text"], [[TEXT]]))
    assert_close(vectors(answer, "text_features")[0], text_vector(engine, TEXT))


def test_many_clients_at_once_get_their_own_results(server: Server, engine: EmbeddingEngine) -> None:
    def ask(number: int) -> httpx.Response:
        body = table(["image", "text"], [[encoded(png(number % 3)), f"text {number}"], [None, f"other {number}"]])
        return httpx.post(f"{server.url}/embed", json=body, timeout=PATIENCE_S)

    with ThreadPoolExecutor(12) as pool:
        for number, answer in enumerate(pool.map(ask, range(24))):
            one, other = vectors(answer, "text_features")
            assert_close(one, text_vector(engine, f"text {number}"))
            assert_close(other, text_vector(engine, f"other {number}"))


def test_a_request_is_dropped_when_its_client_disconnects(small_release: Path, engine: EmbeddingEngine) -> None:
    with started(small_release, module="tests.support.servers.slow_server", text_batch_tokens=1) as server:
        wait_until_ready(server.url)
        body = json.dumps(table(["text"], [[f"text {number}"] for number in range(64)])).encode()
        with server.connect() as client:
            client.sendall(b"POST /embed HTTP/1.1\r\nHost: it\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            until(lambda: server.counters()["texts"] > 0)
        until(lambda: server.counters()["dropped_entries"] > 0)
        next_request = httpx.post(f"{server.url}/embed", json=table(["text"], [[TEXT]]), timeout=PATIENCE_S)
        assert_close(vectors(next_request, "text_features")[0], text_vector(engine, TEXT))
        assert server.in_flight() == 0
        counters = server.counters()
        assert counters["texts"] + counters["dropped_entries"] == 64 + 1
        assert counters["texts"] < 48


@pytest.mark.usefixtures("next_request_is_right")
def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_no_trace(server: Server) -> None:
    for path in ("/embed", "/embed/image", "/embed/text"):
        with server.connect() as client:
            client.sendall(b"POST %s HTTP/1.1\r\nHost: it\r\nContent-Length: 1000\r\n\r\nhalf" % path.encode())


@pytest.mark.usefixtures("next_request_is_right")
def test_a_body_that_does_not_arrive_is_given_up_after_its_time(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"POST /embed HTTP/1.1\r\nHost: it\r\nContent-Length: 1000\r\n\r\nhalf")
        start = time.monotonic()
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert (answer.status, json.load(answer)["code"]) == (408, "body_timeout")
        assert 0.5 < time.monotonic() - start < PATIENCE_S


@pytest.mark.usefixtures("next_request_is_right")
def test_a_body_over_the_limit_is_refused_before_it_was_sent(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"POST /embed HTTP/1.1\r\nHost: it\r\nContent-Length: 4000001\r\n\r\n")
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")


@pytest.mark.usefixtures("next_request_is_right")
def test_a_chunked_body_over_the_limit_is_refused(server: Server) -> None:
    text = [b'"', *[b"x" * 1_000_000] * 5]
    answer = httpx.post(f"{server.url}/embed", content=iter(text))
    assert_refused(answer, 413, "body_too_large", "4,000,000 bytes")


@pytest.mark.usefixtures("next_request_is_right")
def test_bytes_that_are_not_http_do_not_disturb_others(server: Server) -> None:
    post = b"POST /embed HTTP/1.1\r\n"
    for garbage in (b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n", post + b"Content-Length: x\r\n\r\n"):
        with server.connect() as client:
            client.sendall(garbage)
            assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_one_connection_serves_many_requests_good_and_bad(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        for body, status in ((table(["text"], [[TEXT]]), 200), ([], 400), (table(["text"], [[TEXT]]), 200)):
            assert client.post("/embed", json=body).status_code == status


def test_answers_do_not_name_the_server_software(server: Server) -> None:
    assert "server" not in httpx.get(f"{server.url}/health/live").headers


@pytest.mark.usefixtures("next_request_is_right")
def test_nothing_of_a_request_is_in_the_log(server: Server) -> None:
    headers = {"x-secret": SECRET, "authorization": f"Bearer {SECRET}", "user-agent": SECRET}
    image = encoded(png()[:60] + SECRET.encode())
    for body in (
        {SECRET: SECRET},
        table([SECRET], [[SECRET]]),
        table(["image", "text"], [[image, SECRET]], params={SECRET: SECRET}, index=[SECRET]),
        table(["image"], [[image], [image]]),
        table(["text"], [[SECRET]]),
        table(["text"], [[f"{SECRET}\ud800"]]),
    ):
        for path in ("/embed", f"/{SECRET}", "/embed/image", "/embed/text"):
            url = f"{server.url}{path}?{SECRET}"
            answer = httpx.post(url, content=json.dumps(body), headers=headers | {"content-type": "application/json"})
            assert SECRET not in answer.text
            assert SECRET not in str(answer.headers).replace(answer.headers.get("x-ignored-params", ""), "")
    httpx.post(f"{server.url}/embed/image", files={SECRET: (SECRET, SECRET.encode())}, headers=headers)
    assert re.search(SECRET, "".join(server.log), re.IGNORECASE) is None
