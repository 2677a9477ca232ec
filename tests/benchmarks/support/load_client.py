"""Load generator: N keep-alive connections, each of which posts the next prepared body after every answer.

It uses no HTTP library, so that it takes little of the CPU that the server needs. The requests are encoded before the
measurement starts, and only the head of an answer is parsed.
`python -m tests.benchmarks.support.load_client PORT PATH BODIES` prints `done N` lines, then one line of JSON.
"""

import argparse
import asyncio
import json
import math
import sys
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import cast

HOST = "127.0.0.1"
PROGRESS_S = 0.5


@dataclass
class Run:
    """The requests of a run, and the latencies and failures so far."""

    requests: list[bytes]
    stop_at: float
    sent: int = 0
    latencies_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    last_done: float = 0.0

    def take(self) -> bytes | None:
        if self.sent == len(self.requests) or time.perf_counter() > self.stop_at:
            return None
        self.sent += 1
        return self.requests[self.sent - 1]

    def answered(self, latency_s: float, failure: str | None) -> None:
        self.last_done = time.perf_counter()
        if failure is None:
            self.latencies_s.append(latency_s)
        else:
            self.failures.append(failure)


class Connection(asyncio.Protocol):
    """One client, which sends one request at a time over one connection."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.WriteTransport
        self.answer = bytearray()
        self.expected = 0  # length of the whole answer in bytes; 0 until its head has arrived
        self.started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def next(self) -> None:
        request = self.run.take()
        if request is None:
            self.finished.set_result(None)
            self.transport.close()
            return
        self.answer.clear()
        self.expected = 0
        self.started = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.answer += data
        if not self.expected:
            self.expected = expected_bytes(self.answer)
        if self.expected and len(self.answer) >= self.expected:
            failure = None if self.answer.startswith(b"HTTP/1.1 200") else self.answer[:500].decode(errors="replace")
            self.run.answered(time.perf_counter() - self.started, failure)
            self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.run.answered(0.0, f"connection lost: {exc}")
            self.finished.set_result(None)


def expected_bytes(answer: bytearray) -> int:
    """The length of head and body in bytes; 0 while the head is incomplete."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return 0
    for line in bytes(answer[:end]).lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return end + 4 + int(line[15:])
    raise ValueError("the answer has no content-length")


def prepared(path: str, bodies: list[bytes]) -> list[bytes]:
    head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\ncontent-length: "
    return [head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body for body in bodies]


def lines(path: Path, first: int, count: int) -> list[bytes]:
    """`count` lines of a file, starting at line `first`. A shorter file is repeated."""
    with path.open("rb") as file:
        every = [line.rstrip(b"\n") for line in islice(file, first + count)]
    return [every[number % len(every)] for number in range(first, first + count)]


async def drive(port: int, clients: int, run: Run) -> None:
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(lambda: Connection(run), HOST, port))[1] for _ in range(clients)]
    told = asyncio.create_task(tell_progress(run))
    for connection in connections:
        connection.next()
    await asyncio.gather(*(connection.finished for connection in connections))
    told.cancel()


async def tell_progress(run: Run) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        print("done", len(run.latencies_s) + len(run.failures), flush=True)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("bodies", type=Path, help="file with one JSON body per line")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first line to post")
    parser.add_argument("--seconds", type=float, default=600, help="time after which no new request is posted")
    options = parser.parse_args()
    requests = prepared(options.path, lines(options.bodies, options.first, options.count))
    begin, cpu = time.perf_counter(), time.process_time()
    run = Run(requests, stop_at=begin + options.seconds)
    if sys.platform != "win32":
        import uvloop

        uvloop.run(drive(options.port, options.clients, run))
    else:
        asyncio.run(drive(options.port, options.clients, run))
    seconds = run.last_done - begin
    answered = run.latencies_s or [0.0]
    print(json.dumps({
        "answered": len(run.latencies_s), "failures": run.failures, "seconds": seconds,
        "p50_ms": 1e3 * percentile(answered, 0.5), "p99_ms": 1e3 * percentile(answered, 0.99),
        "cpu_share": (time.process_time() - cpu) / max(seconds, 1e-9),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
