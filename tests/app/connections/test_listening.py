"""The listening socket and the writing of its address."""

import socket
import sys

import pytest

from app.connections.listening import accept_last, free_port_after, ignore_new, listen, page_url, place


@pytest.mark.parametrize(
    ("host", "written"), [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("gpu.local", "gpu.local:80")]
)
def test_an_address_of_version_6_stands_in_brackets(host: str, written: str) -> None:
    assert place(host, 80) == written


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("192.0.2.7", "http://192.0.2.7:80"),
    ],
)
def test_the_url_of_the_page_is_one_that_a_browser_here_can_open(host: str, url: str) -> None:
    assert page_url(host, 80) == url


def test_the_next_free_port_passes_over_those_in_use() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        following = free_port_after("127.0.0.1", port)
        assert following is not None
        with listen("127.0.0.1", following):
            later = free_port_after("127.0.0.1", port)
    assert later is not None
    assert port < following < later <= port + 100


def test_there_may_be_no_free_port() -> None:
    assert free_port_after("127.0.0.1", 65535) is None


@pytest.mark.skipif(sys.platform != "linux", reason="packet filters are of Linux")
def test_connections_that_wait_are_accepted_before_the_close() -> None:
    listening = listen("127.0.0.1", 0)
    clients = [socket.create_connection(listening.getsockname()) for _ in range(20)]
    ignore_new(listening)
    accepted = accept_last(listening)
    with pytest.raises(TimeoutError):
        socket.create_connection(listening.getsockname(), timeout=0.2)
    listening.close()
    for client, connection in zip(clients, accepted, strict=True):
        connection.sendall(b"answer")
        assert client.recv(10) == b"answer"
        client.close()
        connection.close()
