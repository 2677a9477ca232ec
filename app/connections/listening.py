"""The listening socket: its address, and its end without resets."""

import socket
import struct
import sys
from array import array
from contextlib import suppress

BACKLOG = 2048  # connections that wait to be accepted; the default of uvicorn
MAX_PORT = 65535
# Of the addresses that stand for all addresses of a machine.
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104, nothing is bound to them
_SO_ATTACH_FILTER = 26  # of Linux; the module socket has no name for it
# A packet filter: code, jump if true, jump if false, operand.
_DROP_NEW = (
    (0x30, 0, 0, 13),  # load the flags of the TCP header
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # if only SYN is set,
    (0x06, 0, 0, 0),  # drop the packet,
    (0x06, 0, 0, 0xFFFFFFFF),  # else accept it
)


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections: a port that cannot be had is reported before the model is loaded.

    Raises:
        OSError: the address or the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def free_port_after(host: str, port: int) -> int | None:
    """The first port above `port` that is free; None if none of the next 100 is."""
    for candidate in range(port + 1, min(port + 100, MAX_PORT) + 1):
        with suppress(OSError):
            listen(host, candidate).close()
            return candidate
    return None


def page_url(host: str, port: int) -> str:
    """The URL at which a browser on this machine reaches a server that listens on a host and a port."""
    return f"http://{place(_LOOPBACK_OF.get(host, host), port)}"


def place(host: str, port: int) -> str:
    """Host and port as a URL writes them: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def ignore_new(listening: socket.socket) -> None:
    """Let no further client begin to connect; those that have begun can go on for some milliseconds.

    A close of the listening socket would reset clients in the middle of the handshake. The others try again after a
    second, and are refused then. The packet filter needs Linux and no privilege. Where it cannot be attached, a client
    that connects in the moment of the close can still be reset.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            _attach_filter(listening)


def accept_last(listening: socket.socket) -> list[socket.socket]:
    """The connections that nobody has accepted yet; a close of the listening socket would reset them."""
    accepted = []
    listening.setblocking(False)
    try:
        while True:
            accepted.append(listening.accept()[0])
    except OSError:  # none is left, or no more files may be opened
        return accepted


def _attach_filter(listening: socket.socket) -> None:
    program = array("B", b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_NEW))
    listening.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_NEW), program.buffer_info()[0])
    )
