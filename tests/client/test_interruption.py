"""Ctrl-C in a call of the synchronous client: nothing goes on in the background, and the next call is right."""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from medimageinsight import Client
from medimageinsight import client as client_module
from medimageinsight.background_loop import BackgroundLoop
from medimageinsight.background_loop import __file__ as loop_file

from tests.support.cancellation import at_point
from tests.support.samples import png
from tests.support.servers.embedding_server import EmbeddingServer, running

CONCURRENCY = 2
TEXTS = ["a", "bb", "ccc", "dddd", "eeeee"]
LENGTHS = [[1, 1], [2, 1], [3, 1], [4, 1], [5, 1]]
SOURCES = {client_module.__file__, loop_file}
PATIENCE_S = 10


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddingServer]:
    with running(EmbeddingServer(max_rows=2)) as server:
        yield server


def made(server: EmbeddingServer) -> Client:
    return Client(server.url, concurrency=CONCURRENCY, progress=False)


def until_no_connection(server: EmbeddingServer) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while server.connections:
        assert time.monotonic() < deadline, "a connection stays open"
        time.sleep(0.001)


def client_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "medimageinsight"]


def calls_of(client: Client) -> list[str]:
    """The coroutines that the loop of a client runs, besides the one that waits for its end."""
    names = [str(task.get_coro()) for task in asyncio.all_tasks(client._loop._loop)]
    return [name for name in names if "BackgroundLoop" not in name]


def in_time(action: Any) -> None:
    """Run an action in a thread of its own; fail if it does not end."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001, raised below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "the client hangs"
    if failed:
        raise failed[0]


def test_ctrl_c_at_any_await_point_ends_the_call(server: EmbeddingServer, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    interrupted = 0

    def interrupt(_: object) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    for kind in ("texts", "files"):
        for point in count():
            server.statuses = [429, 503]
            with made(server) as client, at_point(client._loop._loop, point, interrupt):
                try:
                    client.embed_texts(TEXTS) if kind == "texts" else client.embed_images([tmp_path / "a.png"] * 3)
                except KeyboardInterrupt:
                    interrupted += 1
                else:
                    break
                assert calls_of(client) == []
                assert client._client._slots._value == CONCURRENCY
                server.statuses = []
                assert client.embed_texts(TEXTS).tolist() == LENGTHS
            assert client_threads() == []
            until_no_connection(server)
    assert interrupted > 40


class InterruptAtLine:
    """Raises KeyboardInterrupt before one of the lines of the client that run in this thread."""

    def __init__(self, number: int) -> None:
        self.raised, self._left, self._seen = False, number, set[tuple[int, int]]()

    def __enter__(self) -> "InterruptAtLine":
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        return self._at_line if frame.f_code.co_filename in SOURCES else None

    def _at_line(self, frame: FrameType, event: str, arg: object) -> Any:
        # The second visit of a `with` line is its end, where CPython delivers no signal.
        if event == "line" and (id(frame), frame.f_lineno) not in self._seen:
            self._seen.add((id(frame), frame.f_lineno))
            self._left -= 1
            if self._left == -1:
                self.raised = True
                raise KeyboardInterrupt
        return self._at_line


@pytest.mark.parametrize("what", ["embed", "close"])
def test_ctrl_c_at_any_line_of_the_client_leaves_it_usable(what: str, server: EmbeddingServer) -> None:
    for number in count():
        client = made(server)
        client.embed_texts(["a"])
        with suppress(KeyboardInterrupt), InterruptAtLine(number) as line:
            if what == "embed":
                client.embed_texts(TEXTS)
            else:
                client.close()

        def go_on(client: Client = client) -> None:
            if what == "embed":
                assert calls_of(client) == []
                assert client.embed_texts(TEXTS).tolist() == LENGTHS
            client.close()

        in_time(go_on)
        assert client_threads() == []
        until_no_connection(server)
        if not line.raised:
            break
    assert number > 4


def test_closing_in_another_thread_ends_a_call(server: EmbeddingServer) -> None:
    server.delay_s = 0.1
    client = made(server)
    client.info()
    threading.Timer(0.03, client.close).start()
    try:
        with pytest.raises(RuntimeError, match="the client is closed"):
            client.embed_texts(TEXTS)
    finally:
        server.delay_s = 0.0


def test_a_closed_client_says_so(server: EmbeddingServer) -> None:
    client = made(server)
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed; make another one"):
        client.embed_texts(TEXTS)


async def _nothing() -> None:
    pass


def test_a_loop_runs_what_it_accepted_before_it_was_closed() -> None:
    """Many threads call while one closes: each call is answered or refused, and none waits for ever."""
    for _ in range(20):
        loop, outcomes = BackgroundLoop(at_end=_nothing), list[str]()

        def call(loop: BackgroundLoop = loop, outcomes: list[str] = outcomes) -> None:
            try:
                loop.run(lambda: asyncio.sleep(0))
                outcomes.append("answered")
            except RuntimeError:
                outcomes.append("closed")

        threads = [threading.Thread(target=call, daemon=True) for _ in range(8)]
        for thread in threads[:4]:
            thread.start()
        closing = threading.Thread(target=loop.close)
        closing.start()
        for thread in threads[4:]:
            thread.start()
        for thread in [*threads, closing]:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        assert len(outcomes) == 8
