"""A real server whose decoders crash, hang and hoard: every request is answered, and the next one is right."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from model.engine import EmbeddingEngine
from tests.support.samples import assert_close, assert_refused, image_vector, png, vectors
from tests.support.servers.server_process import PATIENCE_S, Server, started, until
from tests.support.servers.serving import wait_until_ready

HOSTILE = "tests.support.hostile_decoders.server"
LIMITS = {"decode_workers": 2, "decode_timeout_s": 1, "decode_memory_bytes": 2**28, "max_image_pixels": 1_000_000}


@contextmanager
def serving(release: Path) -> Iterator[tuple[Server, httpx.Client]]:
    with started(release, module=HOSTILE, **LIMITS) as server:
        wait_until_ready(server.url)
        with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
            yield server, client


def post(client: httpx.Client, image: bytes) -> httpx.Response:
    return client.post("/embed/image", content=image, headers={"content-type": "image/png"})


def workers_of(server: Server) -> list[psutil.Process]:
    """The fork server and its workers."""
    return psutil.Process(server.process.pid).children(recursive=True)


def assert_right(answer: httpx.Response, engine: EmbeddingEngine, image: bytes) -> None:
    assert answer.status_code == 200, answer.text
    assert_close(vectors(answer, "image_features")[0], image_vector(engine, image))


def test_hostile_images_cost_nobody_else_anything(small_release: Path, engine: EmbeddingEngine) -> None:
    refusals = {
        b"spin": (413, "image_too_costly", "more than the 1 seconds"),
        b"hoard": (413, "image_too_costly", "bytes of memory"),
        b"abort": (400, "decoder_failed", "crashed"),
        b"exit": (400, "decoder_failed", "crashed"),
        b"sleep": (413, "image_too_costly", "more than the 1 seconds"),
    }
    with serving(small_release) as (server, client), ThreadPoolExecutor(30) as senders:
        bad = {order: senders.submit(post, client, order) for order in refusals}
        good = [(image, senders.submit(post, client, image)) for image in map(png, range(12))]
        for order, (status, code, words) in refusals.items():
            assert_refused(bad[order].result(), status, code, words, row=0, column="image")
        for image, answer in good:
            assert_right(answer.result(), engine, image)
        assert_right(post(client, png(77)), engine, png(77))
        metrics = client.get("/metrics").text
        for reason, number in (("time", 2), ("memory", 1), ("crashed", 2), ("killed", 0)):
            assert f'medimageinsight_decoders_replaced_total{{reason="{reason}"}} {number}.0' in metrics
        assert "medimageinsight_decoders 2.0" in metrics
        assert not any("abort" in line or "Traceback" in line for line in server.log)


def test_a_worker_that_is_killed_is_replaced_while_requests_arrive(
    small_release: Path, engine: EmbeddingEngine
) -> None:
    with serving(small_release) as (server, client), ThreadPoolExecutor(8) as senders:
        asked: list[tuple[bytes, Future[httpx.Response]]] = []
        for number in range(40):
            asked.append((png(number), senders.submit(post, client, png(number))))
            if number % 10 == 5:
                until(lambda: len(workers_of(server)) > 1)  # the killed workers before may not be replaced yet
                fork_server, *workers = workers_of(server)
                os.kill(workers[0].pid, signal.SIGKILL)
        answers = [(image, answer.result()) for image, answer in asked]
        for image, answer in answers:
            if answer.status_code == 200:
                assert_right(answer, engine, image)
            else:
                assert_refused(answer, 503, "out_of_memory", "send the image again later", row=0, column="image")
                assert "retry-after" in answer.headers
        assert sum(answer.status_code != 200 for _, answer in answers) <= 4
        fork_server.kill()
        until(lambda: post(client, png(1)).status_code == 200)
        assert_right(post(client, png(2)), engine, png(2))


def test_no_decoder_outlives_a_killed_service(small_release: Path) -> None:
    with serving(small_release) as (server, client), ThreadPoolExecutor(2) as senders:
        processes = workers_of(server)
        assert len(processes) == 3
        for order in (b"spin", b"sleep"):
            senders.submit(post, client, order)
        until(lambda: "decoders_busy 2.0" in client.get("/metrics").text)
        server.process.kill()
        server.ended()
        until(lambda: not any(process.is_running() for process in processes))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_to_every_process_lets_the_images_in_flight_be_answered(
    number: signal.Signals, small_release: Path, engine: EmbeddingEngine
) -> None:
    with serving(small_release) as (server, client), ThreadPoolExecutor(30) as senders:
        processes = workers_of(server)
        asked = [(png(seed), senders.submit(post, client, png(seed))) for seed in range(30)]
        until(lambda: server.in_flight() > 0)
        for process in (server.process.pid, *(process.pid for process in processes)):  # as a terminal and systemd do
            os.kill(process, number)
        for image, answer in asked:
            try:
                result = answer.result()
            except httpx.ConnectError:
                continue  # the server listens no more
            if result.status_code == 200:
                assert_right(result, engine, image)
            else:
                assert_refused(result, 503, "not_ready", "stopping")
        assert server.ended() == 0
        until(lambda: not any(process.is_running() for process in processes))


def test_a_client_that_leaves_frees_the_decoder_of_its_image(small_release: Path, engine: EmbeddingEngine) -> None:
    with serving(small_release) as (_, client):
        for _ in range(4):
            with pytest.raises(httpx.ReadTimeout):
                client.post("/embed/image", content=b"sleep", headers={"content-type": "image/png"}, timeout=0.3)
        began = time.monotonic()
        assert_right(post(client, png(1)), engine, png(1))
        assert time.monotonic() - began < LIMITS["decode_timeout_s"]
        assert 'medimageinsight_decoders_replaced_total{reason="cancelled"} 4.0' in client.get("/metrics").text
