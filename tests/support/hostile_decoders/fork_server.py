"""A fork server whose workers obey what images ask for: `python -m PROGRAM MEMORY_BYTES CPU_S`.

An image that begins with one of `ORDERS` makes its decoder do that. Other images are decoded.
"""

import json
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.decoding import decoder, fork_server
from app.decoding.messages import SIZES
from model.errors import ImageDecodeError
from model.imaging.formats import ImageFile
from model.imaging.images import open_image

PROGRAM = "tests.support.hostile_decoders.fork_server"


def _sleep() -> None:
    time.sleep(3600)


def _spin() -> None:
    """Hold the interpreter lock in C code for longer than any test lasts."""
    re.match("(a+)+$", "a" * 60 + "b")


def _hoard() -> None:
    blocks = []
    while True:
        blocks.append(b"x" * 2**24)


def _tell() -> None:
    open_files = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            open_files.append(str(descriptor.readlink()).split(":")[0])
    raise ImageDecodeError(
        json.dumps({"process": os.getpid(), "variables": sorted(os.environ), "open_files": sorted(open_files)})
    )


def _babble() -> None:
    os.write(_connection(), b"no reply at all, and a long one")
    time.sleep(3600)


def _lie() -> None:
    header = json.dumps({"log": 7}).encode()
    os.write(_connection(), SIZES.pack(len(header), 0) + header)
    time.sleep(3600)


def _nest() -> None:
    header = b"[" * 60_000
    os.write(_connection(), SIZES.pack(len(header), 0) + header)
    time.sleep(3600)


def _connection() -> int:
    """The descriptor of this worker's connection to the service, its only socket."""
    return next(
        int(descriptor.name)
        for descriptor in Path("/proc/self/fd").iterdir()
        if os.path.exists(descriptor) and str(descriptor.readlink()).startswith("socket:")  # noqa: PTH110 (a link to no path)
    )


ORDERS: dict[bytes, Callable[[], None]] = {
    b"sleep": _sleep,
    b"spin": _spin,
    b"abort": os.abort,
    b"exit": lambda: os._exit(3),
    b"hoard": _hoard,
    b"babble": _babble,
    b"lie": _lie,
    b"nest": _nest,
    b"tell": _tell,
}
"""Begin of an image, and what its decoder does: sleep, compute without end, crash, end, allocate without end, send what
is no reply, or refuse the image with a message in JSON: its process id, its environment's names and its open files."""


def open_hostile_image(data: bytes, *, max_pixels: int) -> ImageFile:
    for order, obey in ORDERS.items():
        if data.startswith(order):
            obey()
    return open_image(data, max_pixels=max_pixels)


if __name__ == "__main__":
    setattr(decoder, "open_image", open_hostile_image)  # noqa: B010 (mypy knows no such name of the module)
    fork_server.main()
