"""The service's side of the fork server: starts it, asks it for workers, and hears of their ends."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from itertools import count

from app.decoding.fork_server import ENDED, FORK, KILL, REQUEST
from app.settings import variables_among

logger = logging.getLogger("medimageinsight")

PROGRAM = "app.decoding.fork_server"
RESTART_S = 1.0  # least time between two starts of a fork server that ends
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT")
"""The environment of the workers: it holds neither keys nor settings."""

SET_VARIABLES = {
    "OPENBLAS_NUM_THREADS": "1",  # a fork copies no other thread, and the workers are the parallelism
    # glibc returns buffers of pictures to the system after each image otherwise, which costs a third of the time.
    "MALLOC_MMAP_THRESHOLD_": str(16 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(32 * 2**20),
}


class ForkClient:
    """Starts the fork server, again if it ends. It must be used on the event loop.

    Args:
        memory_bytes: memory that one worker may take beyond what it has when it starts.
        cpu_s: seconds of CPU time per image.
        program: module of the fork server.
    """

    def __init__(self, *, memory_bytes: int, cpu_s: float, program: str = PROGRAM) -> None:
        self._command = [sys.executable, "-P", "-m", program, str(memory_bytes), str(cpu_s)]
        self._numbers = count()
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = -RESTART_S

    def fork(self, connection: socket.socket, file: int) -> "ForkedProcess":
        """A new worker, to which tasks can be sent at once, even while the fork server still starts.

        Args:
            connection: the worker's end of its connection, which is closed here.
            file: descriptor of the file in memory for images and pixels.
        """
        loop = asyncio.get_running_loop()
        if self._control is None and loop.time() - self._started_at >= RESTART_S:
            self._start(loop)
        number = next(self._numbers)
        ended = self._ended[number] = loop.create_future()
        try:
            if self._control is None:
                raise ConnectionError
            socket.send_fds(self._control, [REQUEST.pack(FORK, number)], [connection.fileno(), file])
        except OSError:
            self._has_ended(number, -signal.SIGKILL)
        connection.close()
        return ForkedProcess(self, number, ended)

    def kill(self, number: int) -> None:
        """End a worker, unless it has ended."""
        if self._control is not None and number in self._ended:
            with suppress(OSError):
                self._control.send(REQUEST.pack(KILL, number))

    def stop(self) -> None:
        """End the fork server, which ends the workers."""
        if self._process is not None:
            self._disconnect()
            self._process.kill()  # the system ends the workers with it
            self._process.wait()
            self._process = None

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._started_at = loop.time()
        self._control, remote = socket.socketpair()
        self._control.setblocking(False)
        variables = variables_among(KEPT_VARIABLES) | SET_VARIABLES
        variables["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
        with remote:
            self._process = subprocess.Popen(  # noqa: S603 (this interpreter, and numbers)
                self._command,
                stdin=remote.fileno(),
                stdout=subprocess.DEVNULL,
                env=variables,
            )
        loop.add_reader(self._control, self._hear, self._control)

    def _hear(self, control: socket.socket) -> None:
        """Learn which workers have ended."""
        try:
            message = control.recv(ENDED.size, socket.MSG_WAITALL)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if message:
            self._has_ended(*ENDED.unpack(message))
            return
        logger.error("the process that starts the decoder workers has ended; it is started again")
        self._disconnect()
        if self._process is not None:
            self._process.poll()
        for number in list(self._ended):
            self._has_ended(number, -signal.SIGKILL)

    def _has_ended(self, number: int, status: int) -> None:
        ended = self._ended.pop(number, None)
        if ended is not None and not ended.done():
            ended.set_result(status)

    def _disconnect(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None


class ForkedProcess:
    """One worker process.

    Attributes:
        ended: result: its exit status; that of a signal is negative.
    """

    def __init__(self, client: ForkClient, number: int, ended: asyncio.Future[int]) -> None:
        self._client, self._number, self.ended = client, number, ended

    def kill(self) -> None:
        self._client.kill(self._number)
