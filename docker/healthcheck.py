"""Exit with 0 if the service in this container is ready. HEALTHCHECK runs this script, so the image needs no curl.

The kernel says where the service listens: whatever the flags, the variables and the defaults are, and with --port 0.
`healthcheck.py PID...` looks only at these processes; the default is every process of the container.
"""

import http.client
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

LISTENING = "0A"
TIMEOUT_S = 4


def sockets_of(processes: Iterable[str]) -> Iterator[str]:
    """The inode numbers of the sockets that these processes have open."""
    for process in processes:
        with suppress(OSError):  # a process of another user, or one that has just ended
            for descriptor in Path("/proc", process, "fd").iterdir():
                with suppress(FileNotFoundError):  # closed since
                    target = str(descriptor.readlink())
                    if target.startswith("socket:["):
                        yield target.removeprefix("socket:[").removesuffix("]")


def listening() -> Iterator[tuple[str, str, int]]:
    """The inode number, address and port of every TCP socket that listens."""
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with suppress(OSError):  # without IPv6 there is no tcp6
            for line in Path("/proc/net", name).read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == LISTENING:
                    digits, port = local.split(":")
                    words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
                    address = socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))
                    yield inode, address, int(port, 16)


def is_ready(address: str, port: int) -> bool:
    """Whether the service at an address is ready; for 0.0.0.0 and ::, the kernel connects to this machine."""
    connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


processes = sys.argv[1:] or [folder.name for folder in Path("/proc").iterdir() if folder.name.isdecimal()]
ours = set(sockets_of(processes))
sys.exit(not any(is_ready(address, port) for inode, address, port in listening() if inode in ours))
