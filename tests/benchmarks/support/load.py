"""Runs of the load generator, with a progress bar, and the highest rate that it can reach."""

import asyncio
import contextlib
import json
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from tests.benchmarks.support.load_client import HOST, expected_bytes
from tests.benchmarks.support.release import ROOT
from tests.benchmarks.support.servers import free_port

NULL_ANSWER_BYTES = 20_000  # about the size of 1024 floats as JSON


@dataclass(frozen=True)
class Load:
    """The result of one run of the load generator."""

    answered: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_share: float  # share of one CPU that the generator used

    @property
    def rate(self) -> float:
        """Requests answered per second."""
        return self.answered / self.seconds


def run_load(
    port: int, path: str, bodies: Path, *, clients: int, count: int, first: int = 0, seconds: float = 600,
    label: str = "",
) -> Load:  # fmt: skip
    """Post `count` bodies of a file over `clients` connections, starting at line `first`.

    Raises:
        RuntimeError: a request was not answered with 200.
    """
    argv = [sys.executable, "-m", "tests.benchmarks.support.load_client", str(port), path, str(bodies)]
    argv += ["--clients", str(clients), "--count", str(count), "--first", str(first), "--seconds", str(seconds)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        last = _follow(process, count, label)
    finally:
        process.kill()
        process.wait()
    result = json.loads(last)
    failures = result.pop("failures")
    if failures:
        raise RuntimeError(f"{label}: {len(failures)} of {count} requests failed; the first: {failures[0]}")
    return Load(**result)


def generator_limit(bodies: Path, clients: int, count: int) -> Load:
    """Run the generator against a server process that computes nothing."""
    with null_server() as port:
        return run_load(port, "/", bodies, clients=clients, count=count, label="generator, null server")


@contextlib.contextmanager
def null_server() -> Iterator[int]:
    """Run a server that answers every POST with 20 kB of zeros; yields its port."""
    port = free_port()
    listening = multiprocessing.get_context("spawn").Event()
    process = multiprocessing.get_context("spawn").Process(target=_serve_nothing, args=(port, listening), daemon=True)
    process.start()
    try:
        if not listening.wait(30):
            raise RuntimeError("the null server did not start")
        yield port
    finally:
        process.kill()
        process.join()


def _follow(process: "subprocess.Popen[str]", count: int, label: str) -> str:
    last = ""
    with tqdm(total=count, desc=label, leave=False, unit="request") as bar:
        for last in process.stdout or ():
            if last.startswith("done "):
                bar.update(int(last[5:]) - bar.n)
    if process.wait() or not last.startswith("{"):
        raise RuntimeError("the load generator failed; its message is printed above")
    return last


class _NullProtocol(asyncio.Protocol):
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % NULL_ANSWER_BYTES + b"0" * NULL_ANSWER_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.request = bytearray()
        self.expected = 0

    def data_received(self, data: bytes) -> None:
        self.request += data
        self.expected = self.expected or expected_bytes(self.request)
        if self.expected and len(self.request) >= self.expected:
            self.request.clear()
            self.expected = 0
            self.transport.write(self.answer)  # type: ignore[attr-defined]


def _serve_nothing(port: int, listening: "multiprocessing.synchronize.Event") -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_NullProtocol, HOST, port)
        listening.set()
        await server.serve_forever()

    asyncio.run(serve())
