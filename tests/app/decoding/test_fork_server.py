"""The fork server as a process: its end."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack

from app.decoding.messages import FORK, REPORT, REQUEST, STARTED
from tests.support.console_script import CHECKOUT
from tests.support.patience import PATIENCE_S

WITH_A_WORKER_THAT_ENDS_LATE = """
import atexit, os, signal
from app.decoding import fork_server
atexit.register(os.kill, os.getpid(), signal.SIGCHLD)
fork_server.main()
"""


def test_it_ends_in_silence_when_the_service_has_ended() -> None:
    command = [sys.executable, "-c", WITH_A_WORKER_THAT_ENDS_LATE, str(2**28), "1"]
    with ExitStack() as opened:
        service, control = map(opened.enter_context, socket.socketpair())
        _, remote = map(opened.enter_context, socket.socketpair())
        server = subprocess.Popen(
            command, stdin=control.fileno(), stderr=subprocess.PIPE, text=True, env=os.environ | CHECKOUT
        )
        control.close()
        socket.send_fds(service, [REQUEST.pack(FORK, 7)], [remote.fileno(), remote.fileno()])
        what, number, _ = REPORT.unpack(service.recv(REPORT.size, socket.MSG_WAITALL))
        assert (what, number) == (STARTED, 7)
        service.close()
        _, errors = server.communicate(timeout=PATIENCE_S)
    assert (server.returncode, errors) == (0, "")
