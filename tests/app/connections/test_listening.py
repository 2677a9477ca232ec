"""The listening socket and the writing of its address."""

import socket
import sys

import pytest

from app.connections.listening import accept_last, ignore_new, listen, place


@pytest.mark.parametrize(
    ("host", "written"), [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("gpu.local", "gpu.local:80")]
)
def test_an_address_of_version_6_stands_in_brackets(host: str, written: str) -> None:
    assert place(host, 80) == written


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
