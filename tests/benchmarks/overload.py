"""Overload: 64 clients post 2 MB images for a minute, at five times the capacity of the server.

First, two clients in a closed loop measure the capacity; before that, the right vector of every image is requested.
Then 64 clients share five times that rate. A client waits for its last answer before it sends again. The tables show
the answers by status, the wrong answers, and the server's peak memory. Limits: every answer is 200 with the right
vector, or 429 or 503 with `Retry-After`; the peak memory is at most that of the idle server plus `queue_bytes` plus
1.0 GB. The ratios compare the overloaded server with the same server at its capacity, in the same run.
"""

import argparse
import asyncio
import base64
import collections
import statistics
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx
import numpy as np
from tqdm import tqdm

from tests.benchmarks.support import inputs, release
from tests.benchmarks.support.machine import GB, print_head, print_table, verdict
from tests.benchmarks.support.process_tree import TreeWatch
from tests.benchmarks.support.servers import HOST, Server, ServerCommand, end_on_sigterm, our_command

DIFFERENT_IMAGES = 24
SIDE_PIXELS = 820  # of a square of noise, 2.0 MB as PNG
MIB = 2**20
QUEUE_BYTES = 96 * MIB  # less than 64 bodies of 2.7 MB, so that the bound takes effect
ALLOWED_BYTES = 1.0 * GB
FACTOR = 5
TOLERANCE = 1e-5


@dataclass
class Tally:
    """The answers by status, the errors in them, and the latencies."""

    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: collections.Counter[str] = field(default_factory=collections.Counter)
    latencies_s: list[float] = field(default_factory=list)  # of the answers with status 200


def bodies() -> list[dict[str, Any]]:
    """Make requests of one 2 MB image each: half as a raw body, half as base64 in a table."""
    noise = np.random.default_rng(0)
    made = []
    for number in tqdm(range(DIFFERENT_IMAGES), desc="drawing images", leave=False):
        data = inputs.noise_png(noise, SIDE_PIXELS)
        if number % 2:
            made.append({"content": data, "headers": {"content-type": "image/png"}})
        else:
            made.append({"json": release.input_data("image", [base64.b64encode(data).decode()])})
    return made


async def post(client: httpx.AsyncClient, body: dict[str, Any], right: np.ndarray | None, tally: Tally) -> None:
    start = time.perf_counter()
    try:
        answer = await client.post("/embed/image", **body)
    except httpx.HTTPError as error:
        # A refusal may close the connection before the whole body was sent. Such a request has no answer.
        tally.statuses[type(error).__name__] += 1
        return
    tally.statuses[str(answer.status_code)] += 1
    if answer.status_code == httpx.codes.OK:
        tally.latencies_s.append(time.perf_counter() - start)
        vector = np.array(answer.json()[0]["image_features"][0])
        if right is not None and np.abs(vector - right).max() > TOLERANCE:
            tally.wrong["vectors"] += 1
    elif answer.status_code not in (429, 503):
        tally.wrong[f"status {answer.status_code}"] += 1
    elif int(answer.headers.get("retry-after", 0)) < 1:
        tally.wrong["Retry-After missing"] += 1


async def vectors(url: str, requests: list[dict[str, Any]]) -> list[np.ndarray]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        answers = [await client.post("/embed/image", **body) for body in requests]
    return [np.array(answer.raise_for_status().json()[0]["image_features"][0]) for answer in answers]


async def load(
    url: str, requests: list[dict[str, Any]], right: list[np.ndarray], *, clients: int, rate: float, seconds: float
) -> tuple[Tally, float]:
    """Post from `clients` clients for `seconds`, together at `rate` requests per second (0: without pauses)."""
    tally, begin = Tally(), time.perf_counter()
    pairs = cycle(zip(requests, right, strict=True))
    gap_s = clients / rate if rate else 0.0

    async def one(number: int) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            due = begin + gap_s * number / clients
            while due < begin + seconds:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                await post(client, *next(pairs), tally)
                due = max(due + gap_s, time.perf_counter())

    await asyncio.gather(*(one(number) for number in range(clients)))
    return tally, time.perf_counter() - begin


def measure(server: Server, seconds: float, clients: int) -> None:
    url = f"http://{HOST}:{server.port}"
    requests = bodies()
    right = asyncio.run(vectors(url, requests))
    with TreeWatch(server.process.pid) as idle:
        time.sleep(1)
    with TreeWatch(server.process.pid) as calm:
        at_capacity, calm_s = asyncio.run(load(url, requests, right, clients=2, rate=0, seconds=seconds / 4))
    capacity = at_capacity.statuses["200"] / calm_s
    print(f"capacity: {capacity:.1f} requests per second; offered: {FACTOR * capacity:.1f}", flush=True)
    with TreeWatch(server.process.pid, f"{clients} clients", seconds) as busy:
        overloaded, busy_s = asyncio.run(
            load(url, requests, right, clients=clients, rate=FACTOR * capacity, seconds=seconds)
        )
    counters = server.ask("GET", "/info")["counters"]
    rows = [
        row("at capacity, 2 clients", at_capacity, calm_s, capacity, calm.peak_bytes),
        row(f"overload, {clients} clients", overloaded, busy_s, capacity, busy.peak_bytes),
    ]
    print_table(["", "sent/s", "200/s", "/ capacity", "p50 ms", "429", "503", "other", "wrong", "peak MB"], rows)
    limit = idle.peak_bytes + QUEUE_BYTES + ALLOWED_BYTES
    print(f"idle {idle.peak_bytes / 1e6:.0f} MB; peak / (idle + {QUEUE_BYTES // MIB} MiB + 1.0 GB) "
          f"{busy.peak_bytes / limit:.2f}, limit {verdict(busy.peak_bytes / limit, at_most=1.0)}")  # fmt: skip
    others = sum(overloaded.statuses.values()) - sum(overloaded.statuses[status] for status in ("200", "429", "503"))
    wrong = sum(overloaded.wrong.values())
    print(f"wrong or missing answers: {verdict(wrong + others, at_most=0)} {dict(overloaded.wrong)}; "
          f"in flight afterwards: {counters['requests_in_flight']}")  # fmt: skip


def row(name: str, tally: Tally, seconds: float, capacity: float, peak_bytes: int) -> list[str]:
    statuses = tally.statuses
    known = {status: statuses[status] for status in ("200", "429", "503")}
    rate = known["200"] / seconds
    return [
        name, f"{sum(statuses.values()) / seconds:.1f}", f"{rate:.1f}", f"{rate / capacity:.2f}",
        f"{1e3 * statistics.median(tally.latencies_s or [0.0]):.0f}", str(known["429"]), str(known["503"]),
        str(sum(statuses.values()) - sum(known.values())), str(sum(tally.wrong.values())), f"{peak_bytes / 1e6:.0f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release.add_options(parser, default_size="small")
    parser.add_argument("--seconds", type=float, default=60, help="duration of the overload (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=64, help="number of clients (default: %(default)s)")
    options = parser.parse_args()
    end_on_sigterm()
    folder = release.release_of(options).folder
    print_head(f"overload, {folder}")
    ours = our_command(folder)
    command = ServerCommand("overloaded", ours.argv, {"QUEUE_BYTES": str(QUEUE_BYTES)})
    with Server(command, options.workdir / "logs") as server:
        measure(server, options.seconds, options.clients)


if __name__ == "__main__":
    main()
