"""A device that hangs: the requests in flight are answered, and the process ends so that it can be restarted."""

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from app.inference.watchdog import watch
from tests.support.patience import PATIENCE_S, until
from tests.support.samples import TEXT, assert_refused, table
from tests.support.servers.server_process import started
from tests.support.servers.server_process import until as wait_until
from tests.support.servers.serving import wait_until_ready


class Watched:
    """The part of a pipeline that the watchdog uses."""

    def __init__(self) -> None:
        self.device = SimpleNamespace(silent_s=0.0, excuse=lambda paused_s: None)
        self.decoders = SimpleNamespace(cpu_s=20.0, check=lambda paused_s: None)
        self.given_up: list[str] = []
        self.ended = False

    def give_up(self, error: Exception) -> None:
        self.given_up.append(str(error))

    def end(self) -> None:
        self.ended = True


async def test_a_hanging_device_is_given_up_once_and_may_recover(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    watching = asyncio.create_task(
        watch(watched, device_timeout_s=0.02, unhealthy_exit_s=5, on_unhealthy=watched.end)  # type: ignore[arg-type]
    )
    for hangs in (1, 2):
        watched.device.silent_s = 1.0
        await until(lambda hangs=hangs: len(watched.given_up) == hangs)  # type: ignore[misc]
        await asyncio.sleep(0.02)
        watched.device.silent_s = 0.0
        await asyncio.sleep(0.02)
    assert len(watched.given_up) == 2
    assert not watched.ended
    watched.device.silent_s = 6.0
    async with asyncio.timeout(PATIENCE_S):
        await watching
    assert watched.ended
    assert "the process ends" in caplog.messages[-1]


def test_the_process_ends_with_1_when_the_device_hangs_for_too_long(small_release: Path) -> None:
    settings = {"device_timeout_s": 1, "unhealthy_exit_s": 3}
    with started(small_release, module="tests.support.servers.hanging_server", **settings) as server:
        wait_until_ready(server.url)
        with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
            refused = client.post("/embed", json=table(["text"], [[TEXT]]))
            assert_refused(refused, 503, "encoding_failed", "The device does not answer")
            assert_refused(client.get("/health/ready"), 503, "not_ready", "The device has not answered for")
            assert client.get("/health/live").status_code == 200
        assert server.ended() == 1


def test_a_pause_of_the_whole_process_is_no_fault_of_the_device(small_release: Path) -> None:
    settings = {"device_timeout_s": 2, "unhealthy_exit_s": 0}
    with started(small_release, module="tests.support.servers.slow_server", **settings) as server:
        wait_until_ready(server.url)

        def ask(number: int) -> int:
            body = table(["text"], [[f"{number} {words}"] for words in range(200)])
            return httpx.post(f"{server.url}/embed", json=body, timeout=PATIENCE_S).status_code

        with ThreadPoolExecutor() as senders:
            answers = [senders.submit(ask, number) for number in range(4)]
            wait_until(lambda: server.in_flight() == len(answers))
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(4)
            server.process.send_signal(signal.SIGCONT)
            assert [answer.result() for answer in answers] == [200] * len(answers)
        assert httpx.get(f"{server.url}/health/ready").status_code == 200
