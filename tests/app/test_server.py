"""A real server process on a free port: start, signals, stop, and clients that misbehave."""

import base64
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from model.engine import EmbeddingEngine
from tests.app.inference.test_model_loader import with_other_weights
from tests.conftest import IMAGES
from tests.support.console_script import CHECKOUT, SCRIPT, run_script
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
WAYS_TO_CUT_A_STOP = ["a second signal", "the timeout"]
SIGNALS_WHILE_LOADING = [(0.0, signal.SIGTERM), (0.8, signal.SIGINT), (1.8, signal.SIGTERM)]
NEEDS_THE_MODEL = ("/health/ready", "/health", "/ping", "/info")


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


def test_a_life_from_loading_to_the_answers_after_sigterm(small_release: Path, engine: EmbeddingEngine) -> None:
    slow = {"module": "tests.support.servers.slow_server", "text_batch_tokens": 1}  # one text per batch
    images = [encoded(png(seed)) for seed in range(8)]
    with started(small_release, **slow) as server, httpx.Client(base_url=server.url) as client:
        refused = 0
        while client.get("/health/ready").status_code != 200:
            for path in ("/health/live", "/", "/version", "/openapi.json"):
                assert client.get(path).status_code == 200
            answers = [client.get(path) for path in NEEDS_THE_MODEL]
            answers.append(client.post("/embed", json=table(["text"], [[TEXT]])))
            if all(answer.status_code == 503 for answer in answers):
                refused += 1
                assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
                assert {answer.json()["message"] for answer in answers} == {"The model is being loaded."}
        assert refused >= 1
        assert client.get("/health/live").status_code == 200

        with ThreadPoolExecutor(3) as pool, httpx.Client(base_url=server.url) as client:
            assert client.get("/health/ready").status_code == 200
            bodies = [
                table(["image", "text"], [[image, f"{row} of {name}"] for row, image in enumerate(images)])
                for name in "abc"
            ]
            inflight = [
                pool.submit(httpx.post, f"{server.url}/embed", json=body, timeout=PATIENCE_S) for body in bodies
            ]
            until(lambda: server.in_flight() == len(bodies))
            server.process.terminate()
            until(lambda: client.get("/health/ready").status_code == 503)
            refused_now = httpx.post(f"{server.url}/embed", json=table(["text"], [[TEXT]]))
            assert_refused(refused_now, 503, "not_ready", "The service is stopping.")
            assert int(refused_now.headers["retry-after"]) >= 1
            assert client.get("/health/live").status_code == 200
            answers = [request.result() for request in inflight]
        for name in ("image_features", "text_features"):
            assert [len(vectors(answer, name)) for answer in answers] == [len(images)] * len(bodies)
        assert server.ended() == 0
        with pytest.raises(ConnectionRefusedError):
            server.connect()
    assert len([line for line in server.log if "ready: model=2024.09.27, device=cpu" in line]) == 1


def stop_that_cannot_wait(how: str, small_release: Path) -> float:
    """Stop a server whose device hangs; returns the seconds from the signal to the end of the process."""
    with started(small_release, module="tests.support.servers.hanging_server", drain_timeout_s=1) as server:
        wait_until_ready(server.url)
        with ThreadPoolExecutor(1) as pool:
            request = pool.submit(httpx.post, f"{server.url}/embed", json=table(["text"], [[TEXT]]), timeout=PATIENCE_S)
            until(lambda: server.in_flight() == 1)
            server.process.terminate()
            told = time.monotonic()
            if how == "a second signal":
                until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 503)
                server.process.terminate()
                assert isinstance(request.exception(), httpx.RemoteProtocolError | httpx.ReadError)
            else:
                assert_refused(request.result(), 503, "not_ready", "The service is stopping.")
            assert server.ended() == 1
            taken_s = time.monotonic() - told
    assert [line for line in server.log if "Traceback" in line] == []
    return taken_s


@pytest.mark.parametrize("how", WAYS_TO_CUT_A_STOP)
def test_a_stop_that_cannot_wait_ends_with_1(how: str, small_release: Path) -> None:
    stop_that_cannot_wait(how, small_release)


@pytest.mark.timing
@pytest.mark.parametrize("how", WAYS_TO_CUT_A_STOP)
def test_a_stop_that_cannot_wait_is_quick(how: str, small_release: Path) -> None:
    assert stop_that_cannot_wait(how, small_release) < 5


def signal_while_loading(after_s: float, number: int, small_release: Path) -> float:
    """Signal a server that is still loading; returns the seconds from the signal to the end of the process."""
    with started(small_release) as server:
        time.sleep(after_s)
        server.process.send_signal(number)
        told = time.monotonic()
        assert server.ended() == 0
        taken_s = time.monotonic() - told
    assert [line for line in server.log if "Traceback" in line or "rror" in line.replace("uvicorn.error", "")] == []
    return taken_s


@pytest.mark.parametrize(("after_s", "number"), SIGNALS_WHILE_LOADING)
def test_a_signal_while_loading_ends_the_process(after_s: float, number: int, small_release: Path) -> None:
    signal_while_loading(after_s, number, small_release)


@pytest.mark.timing
@pytest.mark.parametrize(("after_s", "number"), SIGNALS_WHILE_LOADING)
def test_a_signal_while_loading_ends_the_process_at_once(after_s: float, number: int, small_release: Path) -> None:
    # Imports in the loading thread hold the interpreter for some seconds.
    assert signal_while_loading(after_s, number, small_release) < 10


def test_without_a_model_the_embedded_one_is_served_and_said_to_be_a_demonstration() -> None:
    with started("", offline=True) as server:
        wait_until_ready(server.url)
        info = httpx.get(f"{server.url}/info").json()
        texts = ["computed tomography", "mri breast", "chest x-ray"]
        image = base64.b64encode((IMAGES / "ct_gray.png").read_bytes()).decode()
        rows = [[image, texts[0]], ["", texts[1]], ["", texts[2]]]
        answer = httpx.post(f"{server.url}/embed", json=table(["image", "text"], rows))
        image_vector = np.array(answer.json()[0]["image_features"][0])
        similarities = vectors(answer, "text_features") @ image_vector
        assert texts[int(similarities.argmax())] == "computed tomography"
    assert info["model"]["demonstration"] is True
    assert "demonstration model" in info["notice"]
    (warning,) = [line for line in server.log if "demonstration" in line]
    assert "set MODEL (or --model) to its release folder, or to a Hugging Face id" in warning


def test_a_model_that_cannot_be_loaded_is_one_sentence_and_status_2(small_release: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    whole = next((small_release / "vision_model").iterdir()).read_bytes()
    cut = with_other_weights(small_release, tmp_path, whole[:1_000_000])
    for model, sentence in (
        (nothing, "no config.yaml in"),
        ("/nowhere/at/all", "no model at /nowhere/at/all: give a release folder"),
        (cut, "medimageinsigt-v1.0.0.pt"),
    ):
        with started(model) as server:
            assert server.ended() == 2
        (error,) = [line for line in server.log if " ERROR " in line]
        assert "the service does not start: " in error
        assert sentence in error
        assert "Traceback" not in "".join(server.log)


@pytest.mark.timing
def test_a_model_that_is_not_there_is_told_soon() -> None:
    start = time.monotonic()
    with started("/nowhere/at/all") as server:
        assert server.ended() == 2
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("127.0.0.1", None, "Address already in use"),
        ("192.0.2.1", 0, "Cannot assign requested address"),
        ("x86_64-conda-linux-gnu", 0, "Name or service not known|Temporary failure in name resolution"),
    ],
)
@pytest.mark.parametrize("by_variable", [False, True])
def test_an_address_that_cannot_be_had_is_one_sentence_and_status_2(
    host: str, port: int | None, reason: str, by_variable: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] if port is None else port
        if by_variable:
            done = run_script("serve", MEDIMAGEINSIGHT_HOST=host, MEDIMAGEINSIGHT_PORT=str(port))
        else:
            done = run_script("serve", "--host", host, "--port", str(port))
    assert done.returncode == 2
    assert re.fullmatch(f"medimageinsight: cannot listen on {host}:{port}: ({reason})\n", done.stderr)


def test_a_host_that_conda_exports_is_ignored_with_one_warning(small_release: Path) -> None:
    environment = {"HOST": "x86_64-conda-linux-gnu", "PORT": "0", "LOG_FORMAT": "text"}
    command = [SCRIPT, "serve", "--model", str(small_release)]
    with subprocess.Popen(
        command, env=os.environ | CHECKOUT | environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        first, second = process.stderr.readline(), process.stderr.readline()
        process.terminate()
        rest = process.stderr.read()
    assert process.returncode == 0
    assert first.startswith("medimageinsight: warning: HOST=x86_64-conda-linux-gnu is ignored: ")
    assert "MEDIMAGEINSIGHT_HOST" in first
    assert "listening on http://127.0.0.1:" in second
    assert "HOST" not in second + rest


def test_many_clients_at_once_each_get_their_own(server: Server, engine: EmbeddingEngine) -> None:
    def ask(number: int) -> httpx.Response:
        body = table(["image", "text"], [[encoded(png(number % 3)), f"text {number}"], [None, f"other {number}"]])
        return httpx.post(f"{server.url}/embed", json=body, timeout=PATIENCE_S)

    with ThreadPoolExecutor(12) as pool:
        for number, answer in enumerate(pool.map(ask, range(24))):
            one, other = vectors(answer, "text_features")
            assert_close(one, text_vector(engine, f"text {number}"))
            assert_close(other, text_vector(engine, f"other {number}"))


def test_a_request_whose_client_has_gone_stops_costing(small_release: Path, engine: EmbeddingEngine) -> None:
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
    answer = httpx.post(f"{server.url}/embed", content=(b"x" * 1_000_000 for _ in range(5)))
    assert_refused(answer, 413, "body_too_large", "4,000,000 bytes")


@pytest.mark.usefixtures("next_request_is_right")
def test_what_is_no_http_harms_nobody(server: Server) -> None:
    post = b"POST /embed HTTP/1.1\r\n"
    for garbage in (b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n", post + b"Content-Length: x\r\n\r\n", post, b"\r\n"):
        with server.connect() as client:
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            assert b" 200 " not in client.recv(1000)


def test_one_connection_serves_many_requests_good_and_bad(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        for body, status in ((table(["text"], [[TEXT]]), 200), ([], 400), (table(["text"], [[TEXT]]), 200)):
            assert client.post("/embed", json=body).status_code == status


def test_answers_do_not_name_the_software_beneath(server: Server) -> None:
    assert "server" not in httpx.get(f"{server.url}/health/live").headers


@pytest.mark.usefixtures("next_request_is_right")
def test_nothing_of_a_request_stands_in_the_log(server: Server) -> None:
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
