"""A real server process on a free port: start, signals and stop."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import time
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
    assert_refused,
    encoded,
    png,
    table,
    vectors,
)
from tests.support.servers.server_process import PATIENCE_S, started, until
from tests.support.servers.serving import wait_until_ready

WAYS_TO_CUT_A_STOP = ["a second signal", "the timeout"]
SIGNALS_WHILE_LOADING = [(0.0, signal.SIGTERM), (0.8, signal.SIGINT), (1.8, signal.SIGTERM)]
NEEDS_THE_MODEL = ("/health/ready", "/health", "/ping", "/info")


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
    messages = [line.split(": ", 1)[-1].strip() for line in server.log]
    start = [message for message in messages if not message.startswith("method=")]
    assert start[0].startswith("no API keys are set")
    assert start[1].startswith("the model is loaded: model=2024.09.27, device=cpu, ")
    assert start[2] == f"ready: open {server.url}"
    assert start[3] == f"stopping; requests in flight, which are answered first: {len(bodies)}"
    assert len(start) == 4


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


def test_without_a_model_the_demonstration_model_is_served_and_named_as_such() -> None:
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
def test_a_missing_model_is_reported_soon() -> None:
    start = time.monotonic()
    with started("/nowhere/at/all") as server:
        assert server.ended() == 2
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "Cannot assign requested address"),
        ("2001:db8::1", "Cannot assign requested address"),
        ("x86_64-conda-linux-gnu", "Name or service not known|Temporary failure in name resolution"),
    ],
)
@pytest.mark.parametrize("by_variable", [False, True])
def test_an_address_that_is_not_available_is_one_sentence_and_status_2(
    host: str, reason: str, by_variable: bool
) -> None:
    if by_variable:
        done = run_script("serve", MEDIMAGEINSIGHT_HOST=host, MEDIMAGEINSIGHT_PORT="0")
    else:
        done = run_script("serve", "--host", host, "--port", "0")
    assert done.returncode == 2
    place = re.escape(f"[{host}]:0" if ":" in host else f"{host}:0")
    sentence = f"medimageinsight: cannot listen on {place}: ({reason}); choose another --host or --port\n"
    assert re.fullmatch(sentence, done.stderr)


@pytest.mark.parametrize("variable", ["PORT", "MEDIMAGEINSIGHT_PORT"])
def test_a_port_in_use_gets_a_hint_that_can_be_pasted(variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_script("serve", cwd=None, **{variable: str(port)})
        sentence = re.fullmatch(
            rf"medimageinsight: cannot listen on 127.0.0.1:{port}: Address already in use; "
            rf"try `{variable}=(\d+) make run`, or `medimageinsight serve --port (\d+)`\n",
            done.stderr,
        )
    assert done.returncode == 2
    assert sentence
    assert sentence[1] == sentence[2]
    assert port < int(sentence[1]) <= port + 100


def test_no_json_line_has_codes_of_a_terminal(small_release: Path) -> None:
    settings = {"MODEL": str(small_release), "PORT": "0", "UI": "false", "LOG_FORMAT": "json", "LOG_LEVEL": "debug"}
    lines = []
    with subprocess.Popen(
        [SCRIPT, "serve"], env=os.environ | CHECKOUT | settings, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if "ready: open " in line:
                process.terminate()
    assert process.returncode == 0
    assert not [line for line in lines if "\\u001b" in line or "\x1b" in line or "color_message" in line]
    entries = [json.loads(line) for line in lines]
    assert all({"time", "level", "logger", "message"} == entry.keys() for entry in entries)
    assert {"uvicorn.error", "medimageinsight"} <= {entry["logger"] for entry in entries}  # at info, only ours
    (ready,) = [entry["message"] for entry in entries if entry["message"].startswith("ready: ")]
    assert re.fullmatch(r"ready: open http://127\.0\.0\.1:\d+/docs", ready)  # without the page


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


@pytest.mark.skipif(not socket.has_ipv6, reason="needs the loopback address ::1")
def test_an_address_of_version_6_is_written_as_in_a_url(small_release: Path) -> None:
    with started(small_release, host="::1") as server:
        assert re.fullmatch(r"http://\[::1\]:\d+", server.url)
        assert httpx.get(f"{server.url}/health/live").status_code == 200
