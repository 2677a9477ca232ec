"""The service's side of the fork server: starts it, asks it for workers, and hears of their ends."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from itertools import count

from app.decoding.messages import ENDED, FORK, KILL, REPORT, REQUEST
from app.environment import variables_among

logger = logging.getLogger("medimageinsight")

PROGRAM = "app.decoding.fork_server"
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0  # between two starts of a fork server that ends; they double
REAP_S = 1.0  # after the end of the fork server, which its workers do not outlive
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
"""The environment of the workers: it holds neither keys nor settings."""

SET_VARIABLES = {
    # A fork copies no other thread, and the workers are the parallelism.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
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
        self._processes: dict[int, int] = {}  # process ids of the workers, by number
        self._control: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._started_at, self._pause_s = -LONGEST_PAUSE_S, SHORTEST_PAUSE_S

    def fork(self, connection: socket.socket, file: int) -> "ForkedProcess":
        """A new worker, to which tasks can be sent at once, even while the fork server still starts.

        If there is no fork server, and it is too soon to start another one, the worker has ended already.

        Args:
            connection: the worker's end of its connection, which is closed here.
            file: descriptor of the file in memory for images and pixels.
        """
        loop = asyncio.get_running_loop()
        if self._control is None and loop.time() - self._started_at >= self._pause_s:
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
        """End the fork server, with which the system ends the workers."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None
        self._disconnect()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        is_soon = loop.time() - self._started_at < 2 * LONGEST_PAUSE_S
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s) if is_soon else SHORTEST_PAUSE_S
        self._started_at = loop.time()
        variables = variables_among(KEPT_VARIABLES) | SET_VARIABLES
        variables["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
        with ExitStack() as opened:
            try:
                control, remote = map(opened.enter_context, socket.socketpair())
                self._server = subprocess.Popen(  # noqa: S603 (this interpreter, and numbers)
                    self._command,
                    stdin=remote.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=variables,
                    process_group=0,  # Ctrl-C is for the service, which drains
                )
            except OSError as error:
                logger.error(
                    "the decoder workers cannot be started (%s); they are tried again, and DECODE_WORKERS=0 needs none",
                    error.strerror,
                )
                return
            opened.pop_all()
        remote.close()
        control.setblocking(False)
        self._control = control
        loop.add_reader(control, self._hear, control)

    def _hear(self, control: socket.socket) -> None:
        """Learn which workers have started or ended, or that the fork server has ended."""
        try:
            report = control.recv(REPORT.size, socket.MSG_WAITALL)
        except BlockingIOError:
            return
        except OSError:
            report = b""
        if report:
            what, number, value = REPORT.unpack(report)
            if what == ENDED:
                self._has_ended(number, value)
            else:
                self._processes[number] = value
            return
        logger.error(
            "the process that starts the decoder workers was ended from outside and is started again; if the system "
            "had no memory left, give it more, or lower DECODE_WORKERS"
        )
        asyncio.get_running_loop().call_later(REAP_S, _reap, self._server, list(self._processes.values()))
        self._disconnect()

    def _has_ended(self, number: int, status: int) -> None:
        self._processes.pop(number, None)
        ended = self._ended.pop(number, None)
        if ended is not None and not ended.done():
            ended.set_result(status)

    def _disconnect(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        for number in list(self._ended):
            self._has_ended(number, -signal.SIGKILL)


class ForkedProcess:
    """One worker process.

    Attributes:
        ended: result: its exit status; that of a signal is negative.
    """

    def __init__(self, client: ForkClient, number: int, ended: asyncio.Future[int]) -> None:
        self._client, self._number, self.ended = client, number, ended

    def kill(self) -> None:
        self._client.kill(self._number)


def _reap(server: subprocess.Popen[bytes] | None, workers: list[int]) -> None:
    """Let the system forget a fork server that has ended; and its workers, if this is a container's first process."""
    if server is not None:
        server.poll()
    for process in workers:
        with suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)
