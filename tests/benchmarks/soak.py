"""Soak test: good, bad, slow and cancelled requests for 20 minutes; the memory of the server must not grow.

Eight clients choose at random between single images and texts, tables of both, damaged images, wrong bodies, bodies
that arrive in pieces, and requests that the client cancels. The table shows the server's memory, threads and file
handles over time. The ratios compare later medians with the server after its first two minutes. Limits: at most 1.05
of that memory, no request left in flight, and no answer with a 5xx status.
"""

import argparse
import asyncio
import base64
import collections
import random
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx

from tests.benchmarks.support import inputs, release
from tests.benchmarks.support.machine import print_head, print_table, verdict
from tests.benchmarks.support.process_watch import ProcessWatch, Sample
from tests.benchmarks.support.servers import HOST, Server, ServerCommand, end_on_sigterm, our_command

CLIENTS = 8
SETTLE_S = 120.0
PAUSE_S = 0.05  # between the requests of one client, so that the server is not overloaded
WINDOWS = 10
TEXT_CACHE_SIZE = 200  # full within two minutes; the default of 10,000 texts (50 MB) would fill for an hour
GROWTH = 1.05


class Mix:
    """A random sequence of requests of every kind; equal seeds give equal sequences."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._images = inputs.images(40)
        self._labels = inputs.labels(20_000)

    def kind(self) -> str:
        kinds = {"image": 30, "text": 30, "table": 10, "damaged": 10, "wrong": 8, "slow": 6, "cancelled": 6}
        return self._random.choices(list(kinds), list(kinds.values()))[0]

    def request(self, kind: str) -> dict[str, Any]:
        """The arguments of `httpx.AsyncClient.post`."""
        image = self._random.choice(self._images)
        text = self._random.choice(self._labels)
        if kind in ("image", "cancelled"):
            return {"url": "/embed/image", "content": image}
        if kind == "text":
            return {"url": "/embed/text", "json": {"texts": [text]}}
        if kind == "table":
            encoded = base64.b64encode(image).decode()
            table = {"columns": ["image", "text"], "data": [[encoded, text], [None, text], [encoded, ""]]}
            return {"url": "/embed", "json": {"input_data": table}}
        if kind == "damaged":
            return {"url": "/embed/image", "content": self._damaged(image)}
        if kind == "slow":
            return {"url": "/embed/image", "content": _in_pieces(image)}
        return self._random.choice([
            {"url": "/embed", "content": b"{"},
            {"url": "/embed", "json": {"input_data": {"columns": ["picture"], "data": [["x"]]}}},
            {"url": "/embed/text", "json": {"texts": []}},
            {"url": "/nothing", "json": {}},
        ])  # fmt: skip

    def patience_s(self, kind: str) -> float:
        return self._random.uniform(0.001, 0.05) if kind == "cancelled" else 60.0

    def _damaged(self, image: bytes) -> bytes:
        damaged = bytearray(image[: self._random.randrange(1, len(image))])
        for _ in range(8):
            damaged[self._random.randrange(len(damaged))] = self._random.randrange(256)
        return bytes(damaged)


async def _in_pieces(data: bytes) -> AsyncIterator[bytes]:
    size = -(-len(data) // 10)
    for start in range(0, len(data), size):
        yield data[start : start + size]
        await asyncio.sleep(0.05)


async def client(url: str, mix: Mix, until: float, outcomes: collections.Counter[tuple[str, str]]) -> None:
    async with httpx.AsyncClient(base_url=url, headers={"content-type": "application/octet-stream"}) as session:
        while time.perf_counter() < until:
            kind = mix.kind()
            request = mix.request(kind)
            headers = {"content-type": "application/json"} if "json" in request else {}
            try:
                async with asyncio.timeout(mix.patience_s(kind)):
                    answer = await session.post(**request, headers=headers, timeout=None)
                outcome = str(answer.status_code)
            except TimeoutError:
                outcome = "cancelled"
            except httpx.HTTPError as error:
                outcome = type(error).__name__
            outcomes[kind, outcome] += 1
            await asyncio.sleep(PAUSE_S)


async def soak(url: str, seconds: float) -> collections.Counter[tuple[str, str]]:
    outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
    until = time.perf_counter() + seconds
    await asyncio.gather(*(client(url, Mix(seed), until, outcomes) for seed in range(CLIENTS)))
    return outcomes


def medians(samples: list[Sample]) -> tuple[float, float, float]:
    """The medians of memory in MB, threads and handles."""
    held = [(sample.rss_bytes / 1e6, sample.threads, sample.handles) for sample in samples]
    memory, threads, handles = (statistics.median(values) for values in zip(*held, strict=True))
    return memory, threads, handles


def print_growth(samples: list[Sample], settle_s: float) -> None:
    end = samples[-1].at_s
    length = (end - settle_s) / WINDOWS
    settled = [sample for sample in samples if settle_s <= sample.at_s < settle_s + length]
    base = medians(settled)
    rows = [["until then", *(f"{value:.0f}" for value in medians([s for s in samples if s.at_s < settle_s])), "", ""]]
    for number in range(WINDOWS):
        start = settle_s + number * length
        memory, threads, handles = medians([s for s in samples if start <= s.at_s < start + length])
        rows.append([
            f"{start:.0f} to {start + length:.0f} s", f"{memory:.0f}", f"{threads:.0f}", f"{handles:.0f}",
            f"{memory / base[0]:.3f}", verdict(memory / base[0], at_most=GROWTH) if number == WINDOWS - 1 else "",
        ])  # fmt: skip
    print_table(["", "memory MB", "threads", "handles", "/ settled", "limit"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release.add_options(parser, default_size="small")
    parser.add_argument("--minutes", type=float, default=20, help="duration (default: %(default)s)")
    options = parser.parse_args()
    end_on_sigterm()
    folder = release.release_of(options).folder
    print_head(f"soak, {options.minutes:g} minutes, {CLIENTS} clients, {folder}")
    seconds = 60 * options.minutes
    ours = our_command(folder)
    command = ServerCommand("soak", ours.argv, {"TEXT_CACHE_SIZE": str(TEXT_CACHE_SIZE)})
    with Server(command, options.workdir / "logs") as server:
        with ProcessWatch(server.process.pid, "soaking", seconds) as watch:
            outcomes = asyncio.run(soak(f"http://{HOST}:{server.port}", seconds))
        time.sleep(1)
        left = server.ask("GET", "/info")["counters"]
    print_growth(watch.samples, min(SETTLE_S, seconds / 4))
    rows = [[kind, outcome, str(count)] for (kind, outcome), count in sorted(outcomes.items())]
    print_table(["request", "answer", "count"], rows)
    faults = sum(count for (_, outcome), count in outcomes.items() if outcome.startswith("5") or not known(outcome))
    in_flight = left["requests_in_flight"]
    print(f"answers with 5xx, or no answer: {verdict(faults, at_most=0)}; in flight at the end: {in_flight}")


def known(outcome: str) -> bool:
    return outcome.isdigit() or outcome == "cancelled"


if __name__ == "__main__":
    main()
