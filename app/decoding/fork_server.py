"""The program that forks the workers: `python -m app.decoding.fork_server MEMORY_BYTES CPU_S`.

It has imported every reader, so that a fork takes milliseconds and shares its memory. It has no threads, no sockets
but the one to the service, and none of the service's keys. It ends its workers, then itself, when the service ends.

The socket to the service is its standard input; `app.decoding.messages` describes what passes through it.
"""

import gc
import importlib
import os
import select
import signal
import socket
import sys
from contextlib import suppress

from PIL import Image

from app.decoding.messages import ENDED, FORK, REPORT, REQUEST, STARTED
from app.decoding.worker_process import Connection, Limits, run
from model.imaging.formats import FORMATS


def main() -> None:
    limits = Limits(int(sys.argv[1]), float(sys.argv[2]))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the service drains; the workers end with it
    control = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, sys.stdin.fileno())
    gc.disable()  # collecting during the imports takes a quarter of their time, while the service starts too
    _import_readers()
    gc.freeze()  # the collector would write into the pages that the workers share
    gc.enable()
    ForkServer(control, limits, null).serve()


def _import_readers() -> None:
    """Import what a worker may need, so that no worker imports it again."""
    Image.init()
    for known in FORMATS:
        with suppress(Exception):  # the worker that needs the reader names the fault
            importlib.import_module(known.reader)


class ForkServer:
    """Forks workers and reports their ends.

    Args:
        control: the socket to the service.
        limits: of each worker.
        null: an open file that replaces the standard files of the workers, where libraries may write.
    """

    def __init__(self, control: socket.socket, limits: Limits, null: int) -> None:
        self._control, self._limits, self._null = control, limits, null
        self._numbers: dict[int, int] = {}  # of the workers, by process id
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)

    def serve(self) -> None:
        """Fork and kill as the service asks, until it ends; then kill every worker."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._control, self._woken], [], [])
            if self._woken in ready:
                self._woken.recv(4096)
                self._report_ended()
            if self._control in ready and not self._obey():
                break
        signal.set_wakeup_fd(-1)  # the workers end when the sockets of this process are closed already
        for process in self._numbers:
            os.kill(process, signal.SIGKILL)

    def _obey(self) -> bool:
        """Do what the service asks; False once it has ended."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, REQUEST.size, 2)
        except ConnectionError:
            return False
        if not message:
            return False
        request, number = REQUEST.unpack(message)
        if request == FORK:
            self._fork(number, *descriptors)
        else:
            for process in [process for process, known in self._numbers.items() if known == number]:
                os.kill(process, signal.SIGKILL)
        return True

    def _fork(self, number: int, connection: int, file: int) -> None:
        parent = os.getpid()
        try:
            process = os.fork()
        except OSError:
            self._report(ENDED, number, -signal.SIGKILL)
        else:
            if process == 0:
                self._become_worker(Connection(socket.socket(fileno=connection), file), parent)
            self._numbers[process] = number
            self._report(STARTED, number, process)
        os.close(connection)
        os.close(file)

    def _become_worker(self, connection: Connection, parent: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for own in (self._control, self._woken, self._waker):
            own.close()
        for standard in (sys.stdout, sys.stderr):
            os.dup2(self._null, standard.fileno())
        try:
            run(connection, self._limits, parent)
        finally:
            os._exit(1)

    def _report_ended(self) -> None:
        while self._numbers:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            self._report(ENDED, self._numbers.pop(process), os.waitstatus_to_exitcode(status))

    def _report(self, what: bytes, number: int, value: int) -> None:
        with suppress(ConnectionError):
            self._control.sendall(REPORT.pack(what, number, value))


if __name__ == "__main__":
    main()
