"""A server subprocess on a free port: start, readiness, requests, memory and CPU time, end."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import psutil

from tests.benchmarks.support.release import ROOT
from tests.support.console_script import SCRIPT

HOST = "127.0.0.1"
POLL_S = 0.02
READY_LIMIT_S, STOP_LIMIT_S = 300, 20
# Removed from the environment of every server, so that each runs with its own defaults.
OPENMP_VARIABLES = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT", "OMP_PROC_BIND", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class ServerCommand:
    """The command line and environment of a server. `{port}` in an argument is replaced by its port."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    ready_path: str = "/health/ready"


def our_command(model: Path, environment: dict[str, str] | None = None) -> ServerCommand:
    argv = (SCRIPT, "serve", "--model", str(model), "--host", HOST, "--port", "{port}")
    return ServerCommand("ours", argv, environment or {})


class Server:
    """A server that runs for the duration of `with Server(command, logs) as server`, and is ready when it begins."""

    def __init__(self, command: ServerCommand, logs: Path) -> None:
        self.command, self.name = command, command.name
        self.log = logs / f"{command.name}.log"
        self.port = free_port()
        self.ready_s = 0.0

    def __enter__(self) -> Self:
        argv = [argument.replace("{port}", str(self.port)) for argument in self.command.argv]
        clean = {name: value for name, value in os.environ.items() if name not in OPENMP_VARIABLES}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                argv, cwd=ROOT, env=clean | self.command.environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_ready(start)
        except BaseException:
            self.stop()
            raise
        self.ready_s = time.perf_counter() - start
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Send SIGTERM, then SIGKILL to its process group, because some servers leave workers running."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_LIMIT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, method: str, path: str, body: Any = None, timeout_s: float = 300) -> Any:
        """Send one request; returns the JSON of the answer.

        Raises:
            RuntimeError: the status is not 200.
        """
        status, answer = self._exchange(method, path, body, timeout_s)
        if status != http.client.OK:
            raise RuntimeError(f"{self.name}: {method} {path} gave {status}: {answer[:500].decode(errors='replace')}")
        return json.loads(answer)

    def peak_bytes(self) -> int:
        """The sum of the peak memory of the process and its children, in bytes (only on Linux)."""
        process = psutil.Process(self.process.pid)
        return sum(_peak_bytes(one.pid) for one in [process, *process.children(recursive=True)])

    def cpu_s(self) -> float:
        """CPU seconds of the process so far, without its children."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def _wait_until_ready(self, start: float) -> None:
        while time.perf_counter() - start < READY_LIMIT_S:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}; its log:\n{self._log_tail()}")
            try:
                if self._exchange("GET", self.command.ready_path, None, 5)[0] == http.client.OK:
                    return
            except OSError:
                pass  # the server does not listen yet
            time.sleep(POLL_S)
        raise RuntimeError(f"{self.name} was not ready after {READY_LIMIT_S} s; its log:\n{self._log_tail()}")

    def _exchange(self, method: str, path: str, body: Any, timeout_s: float) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"content-type": "application/json"} if sent else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def end_on_sigterm() -> None:
    """Turn SIGTERM into SystemExit, so that `with` blocks end their servers."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
