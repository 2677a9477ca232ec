"""Which connections go when the process may open no more files."""

import logging
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from app.connections.open_connections import OpenConnections
from tests.support.servers.raw_http import LIVE, Client, post
from tests.support.servers.server_process import started
from tests.support.servers.serving import wait_until_ready

HALF = LIVE[:-2]


class Waiting:
    dropped = False

    def drop(self) -> None:
        self.dropped = True


def test_the_connection_that_is_idle_for_longest_goes_first() -> None:
    connections = OpenConnections(max_handles=100)
    clients = [Waiting() for _ in range(60)]
    for handle, client in enumerate(clients, start=20):
        connections.opened(client, handle)
    assert [client.dropped for client in clients] == [True] * 5 + [False] * 55


def test_handles_that_become_free_do_not_hide_a_crowd() -> None:
    """The handle of a dropped connection is taken by the next one, whose number is therefore low."""
    connections, free = OpenConnections(max_handles=100), list(range(20, 100))

    class Client:
        def __init__(self) -> None:
            self.handle = free.pop(0)

        def drop(self) -> None:
            connections.closed(self)
            free.append(self.handle)
            free.sort()

    for _ in range(1000):
        client = Client()
        connections.opened(client, client.handle)
    assert len(free) >= 20


def test_two_connections_stay_although_the_rest_of_the_process_has_taken_all_handles() -> None:
    connections, first, second = OpenConnections(max_handles=100), Waiting(), Waiting()
    connections.opened(first, 98)
    connections.opened(second, 99)
    assert (first.dropped, second.dropped) == (False, False)
    for client in (first, second):
        connections.closed(client)
    clients = [Waiting() for _ in range(20)]
    for handle, client in enumerate(clients, start=10):  # the process has closed its files
        connections.opened(client, handle)
    assert not any(client.dropped for client in clients)


def test_connections_whose_body_is_arriving_go_after_the_idle_ones() -> None:
    connections, (receiving, idle, new) = OpenConnections(max_handles=100), [Waiting() for _ in range(3)]
    connections.opened(receiving, 73)
    connections.receiving[receiving] = connections.idle.pop(receiving)
    connections.opened(idle, 74)
    connections.opened(new, 75)
    assert [client.dropped for client in (receiving, idle, new)] == [False, True, False]


def test_a_connection_that_is_owed_an_answer_stays() -> None:
    connections, answered = OpenConnections(max_handles=100), Waiting()
    connections.opened(answered, 50)
    del connections.idle[answered]
    connections.opened(Waiting(), 99)
    assert not answered.dropped


def test_dropped_connections_are_reported_once_per_minute(caplog: pytest.LogCaptureFixture) -> None:
    connections = OpenConnections(max_handles=100)
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            connections.opened(Waiting(), 99)
    assert len(caplog.records) == 1
    assert "may open only 100 files" in caplog.text


@contextmanager
def few_handles() -> Iterator[None]:
    """Let a process that is started within the `with` block open at most 200 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_clients_that_fill_the_handles_keep_nobody_out(small_release: Path) -> None:
    with ExitStack() as servers:
        with few_handles():
            server = servers.enter_context(started(small_release))
        wait_until_ready(server.url)
        for sent in (b"", HALF, LIVE, post(b"half")[:-1]):
            with ExitStack() as clients:
                for _ in range(400):
                    clients.enter_context(Client(server.address)).send(sent)
                for _ in range(10):
                    assert httpx.get(f"{server.url}/health/live").status_code == 200
                used_s = cpu_s(server.process.pid)
                time.sleep(1)
                assert cpu_s(server.process.pid) - used_s < 0.5
        server.process.terminate()
        assert server.ended() == 0
    assert len([line for line in server.log if "waited for their client" in line]) >= 1
    assert len([line for line in server.log if "medimageinsight.requests" not in line]) < 30


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
