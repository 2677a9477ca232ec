"""The form in which tasks and replies pass between the service and a worker.

A header in JSON goes through a socket. Images and pixels lie in a file in memory that both have open, which takes a
fifth of the time that the socket takes. The form is plain on purpose: a worker that a hostile file has taken over can
send nothing that the service executes.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import model.errors
from app.decoding.decoder import Payload, Reply, Task
from model.errors import ImageDecodeError, InvalidInput
from model.imaging.limits import MAX_PIXELS
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import AnyWindow, PercentileWindow, Rendering, Window

SIZES = struct.Struct("!IQ")
"""Two numbers begin every message: the size of the header that follows, and the size of the bytes in the file."""

MAX_HEADER_BYTES = 65_536
MAX_REPLY_BYTES = 4 * MAX_PIXELS + 2**20  # of a PNG file that cannot be compressed
REQUEST = struct.Struct("!cQ")
"""What the service asks of the fork server: FORK, with a socket and a file, or KILL; and the number of the worker."""

REPORT = struct.Struct("!cQi")
"""What the fork server reports: STARTED, with a worker's number and process id, or ENDED, with its exit status."""

FORK, KILL, STARTED, ENDED = b"f", b"k", b"s", b"e"
FORGET = {"kind": "forget"}
"""Header of the message that closes the kept file; it has no reply."""


def packed(header: Mapping[str, Any], body_size: int = 0) -> bytes:
    """A message about `body_size` bytes in the file."""
    encoded = json.dumps(header).encode()
    return SIZES.pack(len(encoded), body_size) + encoded


def task_message(task: Task, payload: Payload | None) -> tuple[bytes, bytes]:
    """The message that asks for a task, and the bytes that the file must hold before it is sent."""
    form = "kept" if payload is None else "base64" if isinstance(payload, str) else "bytes"
    body = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload or b""
    return packed(asdict(task) | {"payload": form}, len(body)), body


def read_task(header: Mapping[str, Any], body: bytes) -> tuple[Task, Payload | None]:
    """The task and the image of a message."""
    rendering, standardization = header["rendering"], header["standardization"]
    task = Task(
        header["kind"],
        header["max_pixels"],
        Rendering(**rendering | {"window": _window(rendering["window"])}),
        standardization and Standardization(**standardization),
        tuple(header["image_size"]),
        header["keep_open"],
    )
    form = header["payload"]
    return task, None if form == "kept" else body.decode("utf-8", "surrogatepass") if form == "base64" else body


def _window(sent: Mapping[str, float] | None) -> AnyWindow | None:
    if sent is None:
        return None
    return Window(**sent) if "center" in sent else PercentileWindow(**sent)


def reply_header(reply: Reply, log: list[str]) -> dict[str, Any]:
    """The header of a reply, whose data are in the file.

    Args:
        reply: the reply.
        log: lines for the log of the service.
    """
    return {**{name: value for name, value in vars(reply).items() if name != "data"}, "log": log}


def refusal_header(error: InvalidInput, log: list[str]) -> dict[str, Any]:
    """The header of the reply that refuses an image."""
    return {"error": type(error).__name__, "message": str(error), "log": log}


def read_reply(header: Any, data: bytes, task: Task) -> tuple[Reply | InvalidInput, list[str]]:
    """The reply to a task, or the refusal of its image, and the lines for the log.

    Raises:
        ArithmeticError, LookupError, TypeError, ValueError: this is no reply to the task.
    """
    log = [str(line) for line in header["log"]]
    if "error" in header:
        return _refusal(str(header["error"]), str(header["message"])), log
    height, width = task.image_size
    if task.kind == "pixels" and len(data) != 3 * height * width:
        raise ValueError("the data are not the pixels of the encoder's input")
    facts = {name: kind(header[name]) for name, kind in _FACTS.items()}
    return Reply(data, **facts), log


_FACTS = {"frame_count": int, "inflates": bool, "picture_pixels": int, "digest": str}


def _refusal(name: str, message: str) -> InvalidInput:
    known = getattr(model.errors, name, None)
    if isinstance(known, type) and issubclass(known, InvalidInput):
        return known(message)
    return ImageDecodeError(message)
