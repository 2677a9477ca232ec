"""A client that sends exact bytes over a real socket, and reads what comes back until the server closes."""

import json
import socket
import time
from dataclasses import dataclass
from typing import Any

PATIENCE_S = 30
LIVE = b"GET /health/live HTTP/1.1\r\nHost: it\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """One answer; the names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        code: str = json.loads(self.body)["code"]
        return code


class Client:
    """A connection."""

    def __init__(self, address: tuple[str | None, int | None]) -> None:
        self.socket = socket.create_connection(address, PATIENCE_S)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Send the parts, each in a segment of its own."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            self.socket.sendall(part)

    def send_slowly(self, data: bytes, *, pause_s: float) -> None:
        """Send each byte on its own, with pauses."""
        for byte in data:
            self.send(bytes([byte]))
            time.sleep(pause_s)

    def answers(self) -> list[Answer]:
        """All answers until the server ends the connection.

        Raises:
            ConnectionResetError: the server resets the connection.
        """
        received = b""
        while part := self.socket.recv(65536):
            received += part
        return answers_of(received)

    def ask(self, *parts: bytes) -> list[Answer]:
        self.send(*parts)
        return self.answers()


def answers_of(received: bytes) -> list[Answer]:
    """The answers in a stream of bytes; each but `100 Continue` has a content length."""
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        length = int(headers.get("content-length", 0))
        answers.append(Answer(int(first.split(" ")[1]), headers, rest[:length]))
        received = rest[length:]
    return answers


def post(body: bytes, *fields: bytes, path: bytes = b"/embed") -> bytes:
    """A request with a body of JSON."""
    lines = (b"Host: it", b"Content-Type: application/json", b"Content-Length: %d" % len(body), *fields)
    return b"POST %s HTTP/1.1\r\n%s\r\n\r\n%s" % (path, b"\r\n".join(lines), body)
