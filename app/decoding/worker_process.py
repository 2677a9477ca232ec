"""The program of a worker process: it performs tasks until the service closes the connection."""

import ctypes
import gc
import json
import logging
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from app.decoding.decoder import Decoder
from app.decoding.messages import FORGET, MAX_REPLY_BYTES, SIZES, packed, read_task, refusal_header, reply_header
from model.errors import DecoderFailed, ImageTooCostly, InvalidInput, OutOfMemory

_PR_SET_PDEATHSIG = 1  # of prctl(2)
_TRIED_BYTES = 2**26  # a system that has not even these is short of memory, unless the limit is as low
_KIB = 1024


class Limits:
    """Limits of one worker.

    Args:
        memory_bytes: bytes that the worker may take beyond what it has when it starts.
        cpu_s: seconds of CPU time per image.
    """

    def __init__(self, memory_bytes: int, cpu_s: float) -> None:
        self.memory_bytes, self.cpu_s = memory_bytes, cpu_s

    def limit_process(self) -> None:
        """Bound the memory and the file in memory, and forbid core dumps, which would hold pixels."""
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_FSIZE, MAX_REPLY_BYTES)
        if sys.platform == "linux":  # where RLIMIT_DATA counts every private mapping (Linux 4.7)
            _lower(resource.RLIMIT_DATA, _data_bytes() + self.memory_bytes)

    def time(self, *, is_running: bool) -> None:
        """Start or stop the clock of CPU time, whose signal ends the process even while it runs C code."""
        signal.setitimer(signal.ITIMER_PROF, self.cpu_s if is_running else 0)

    def leaves_memory(self) -> bool:
        """Whether a task can still have memory, from the system and by the limit."""
        return _can_have(min(self.memory_bytes // 2, _TRIED_BYTES))

    def too_costly(self) -> InvalidInput:
        """The error for an image for which memory could not be had; what it had must be free again."""
        if self.leaves_memory():
            return ImageTooCostly(
                f"decoding the image needs more than the {self.memory_bytes:,} bytes of memory that are allowed; send "
                "a smaller image"
            )
        return OutOfMemory("the service has too little memory to decode the image now; send it again later")


class Connection:
    """The way to the service.

    Args:
        messages: the socket of the messages.
        file: descriptor of the file in memory that holds images and pixels.
    """

    def __init__(self, messages: socket.socket, file: int) -> None:
        self._messages, self._file = messages, file

    def receive(self) -> tuple[Any, int]:
        """The header of the next message, and the size of its bytes in the file.

        Raises:
            EOFError: the service has closed the connection.
        """
        header_size, body_size = SIZES.unpack(self._exactly(SIZES.size))
        return json.loads(self._exactly(header_size)), body_size

    def body(self, size: int) -> bytes:
        return os.pread(self._file, size, 0)

    def send(self, header: Mapping[str, Any], data: bytes = b"") -> None:
        """Send a reply."""
        view = memoryview(data)
        written = 0
        while written < len(data):
            written += os.pwrite(self._file, view[written:], written)
        self._messages.sendall(packed(header, len(data)))

    def _exactly(self, size: int) -> bytes:
        data = self._messages.recv(size, socket.MSG_WAITALL)
        if len(data) < size:
            raise EOFError
        return data


def run(connection: Connection, limits: Limits, parent: int) -> NoReturn:
    """Perform tasks until the connection is closed, then end the process.

    Args:
        connection: to the service.
        limits: of this worker.
        parent: process id of the fork server; the worker ends with it.
    """
    _die_with(parent)
    _be_ended_first()
    limits.limit_process()
    lines = _LogLines()
    decoder = Decoder()
    with suppress(ConnectionError, EOFError):
        while True:
            header, body_size = connection.receive()
            if header == FORGET:
                decoder.forget()
                gc.collect()
                continue
            limits.time(is_running=True)
            refusal = _answer(connection, decoder, limits, lines, header, body_size)
            limits.time(is_running=False)
            if refusal is not None:
                connection.send(refusal_header(refusal, lines.take()))
    os._exit(0)


def _answer(
    connection: Connection, decoder: Decoder, limits: Limits, lines: "_LogLines", header: Any, body_size: int
) -> InvalidInput | None:
    """Perform a task and send its reply; or return the refusal of its image."""

    def answer() -> None:
        reply = decoder.perform(*read_task(header, connection.body(body_size)))
        connection.send(reply_header(reply, lines.take()), reply.data)

    try:
        answer()
    except (MemoryError, OutOfMemory):
        pass  # what the task had is free again behind this block
    except (ConnectionError, EOFError):
        raise
    except InvalidInput as error:
        error.__traceback__ = error.__cause__ = error.__context__ = None
        if limits.leaves_memory():
            return error
    except Exception as error:  # noqa: BLE001, whatever a library raises
        logging.getLogger("medimageinsight").warning(
            "a decoder failed with an unforeseen %s; please report this line", type(error).__name__
        )
        return DecoderFailed("the image cannot be decoded, because its decoder failed on it")
    else:
        return None
    decoder.forget()
    return limits.too_costly()


def _die_with(parent: int) -> None:
    """End this process when the fork server ends, also while it runs C code."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _be_ended_first() -> None:
    """Tell a system without memory to end this process rather than the service, which holds the model."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _lower(limit: int, wanted: int) -> None:
    _, most = resource.getrlimit(limit)
    value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(limit, (value, most))


def _data_bytes() -> int:
    """Bytes of private memory that this process has reserved, as RLIMIT_DATA counts them."""
    with Path("/proc/self/status").open(encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmData:"))
    return int(line.split()[1]) * _KIB


def _can_have(size: int) -> bool:
    """Whether memory of this size can be reserved; none of it is touched."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, ValueError, MemoryError):
        return False
    return True


class _LogLines(logging.Handler):
    """Collects the log lines of a task, which the service logs."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        logger = logging.getLogger("medimageinsight")
        logger.handlers, logger.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines
