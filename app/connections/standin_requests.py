"""Requests that the parser gets in place of what it cannot parse."""

from collections.abc import Iterable

# uvicorn queues it behind the requests before it, and closes the connection after its answer.
UNPARSED = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n"
_FRAMING = (b"content-length", b"transfer-encoding")


def without_upgrade(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A header that says only where the body ends. The parser reads no body if a request asks for another protocol.

    Args:
        headers: names in lower case and values.
    """
    framing = [b"%s: %s\r\n" % field for field in headers if field[0] in _FRAMING]
    return b"".join([b"POST / HTTP/1.1\r\n", *framing, b"\r\n"])
