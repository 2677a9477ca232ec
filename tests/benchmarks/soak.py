"""Soak test: honest, wrong, hostile, refused and leaving clients for 20 minutes; the service must stay as it was.

Eight clients choose at random between:

- single images and texts, tables of both, and bodies that arrive in pieces. Each answer must equal the first answer to
  the same item;
- wrong requests, and hostile files with random parameters;
- bodies of some MB that are refused;
- leaving in the middle of the header, the body, the wait or the answer.

The first table has one row per minute: memory, processes, threads and file handles of the whole process tree, and the
answers of that minute. Memory is PSS, in which a page that n processes share counts as 1/n. The second table has the
growth after the warm-up, of a line that is fitted by least squares through the medians of 15 s.

Limits: memory grows by at most 5 %, processes and handles by less than one, threads by 4. No answer is wrong, missing,
or has an unexpected status; 429 and 503 are expected if they have `Retry-After`. On an otherwise idle machine, 95 % of
the honest requests are answered within 5 s. Nothing is in flight at the end. The status is 1 if a limit is missed.
"""

import argparse
import asyncio
import collections
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import groupby

import httpx

from tests.benchmarks.support import release
from tests.benchmarks.support.machine import print_head, print_table, verdict
from tests.benchmarks.support.process_tree import TreeSample, TreeWatch
from tests.benchmarks.support.servers import HOST, Server, ServerCommand, end_on_sigterm, our_command
from tests.benchmarks.support.soak_bodies import MIB, Corpus
from tests.benchmarks.support.soak_traffic import AUTHORIZATION, BUSY, HONEST, KEY, FirstAnswers, Outcome, Traffic

CLIENTS = 8
PAUSE_S = 0.05  # between the requests of one client, so that the server is not overloaded
SETTLE_S = 300.0
BLOCK_S = 15.0  # its median leaves out the moment in which a large image is decoded
MAX_MEMORY_GROWTH = 0.05
MAX_COUNT_GROWTH = {"processes": 0.99, "threads": 4.0, "handles": 0.99}
"""asyncio's own pool starts its threads, at most the CPUs and 4, only when it first needs them."""
MAX_P95_S = 5.0
TEXT_CACHE_SIZE = 200  # half of the texts: the other half is computed
MAX_ROWS = QUEUE_SIZE = 300  # a request of all rows is refused with 429 unless the queue is empty
MAX_BODY_BYTES, QUEUE_BYTES = 8 * MIB, 64 * MIB


async def soak(url: str, corpus: Corpus, seconds: float) -> list[Outcome]:
    outcomes: list[Outcome] = []
    first, until = FirstAnswers(), time.perf_counter() + seconds
    await asyncio.gather(*(Traffic(url, seed, corpus, first).run(until, PAUSE_S, outcomes) for seed in range(CLIENTS)))
    return outcomes


def print_minutes(samples: Sequence[TreeSample], outcomes: Sequence[Outcome], begin: float) -> None:
    rows = []
    by_minute = collections.defaultdict(list)
    for outcome in outcomes:
        by_minute[int((outcome.at_s - begin) // 60)].append(outcome)
    for minute, held in groupby(samples, lambda sample: int(sample.at_s // 60)):
        some, during = list(held), by_minute[minute]
        honest = [outcome for outcome in during if outcome.kind in HONEST and outcome.answer == "200"]
        rows.append([
            str(minute + 1), f"{median_mb(some):.0f}", f"{max(s.pss_bytes for s in some) / 1e6:.0f}",
            *(f"{statistics.median(getattr(s, name) for s in some):g}" for name in ("processes", "threads", "handles")),
            str(len(honest)), *(f"{1e3 * at:.0f}" for at in latencies(honest)),
            str(sum(o.answer in map(str, BUSY) for o in during)), str(sum(o.answer.startswith("4") for o in during)),
            str(sum(o.answer == "left" for o in during)), str(sum(bool(o.fault) for o in during)),
        ])  # fmt: skip
    print_table(
        ["minute", "PSS MB", "peak MB", "processes", "threads", "handles", "honest 200", "p50 ms", "p95 ms",
         "429, 503", "4xx", "left", "faults"], rows,
    )  # fmt: skip


def median_mb(samples: Sequence[TreeSample]) -> float:
    return statistics.median(sample.pss_bytes for sample in samples) / 1e6


def latencies(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """p50 and p95 in seconds."""
    if len(outcomes) < 2:
        return 0.0, 0.0
    parts = statistics.quantiles((outcome.latency_s for outcome in outcomes), n=20)
    return parts[9], parts[18]


def growth(samples: Sequence[TreeSample], value: Callable[[TreeSample], float]) -> tuple[float, float]:
    """The first value of the fitted line, and how much the line grows until its end."""
    times, medians = [], []
    for _, block in groupby(samples, lambda sample: sample.at_s // BLOCK_S):
        some = list(block)
        times.append(statistics.mean(sample.at_s for sample in some))
        medians.append(statistics.median(value(sample) for sample in some))
    slope, intercept = statistics.linear_regression(times, medians)
    return intercept + slope * times[0], slope * (times[-1] - times[0])


def print_growth(samples: Sequence[TreeSample], settle_s: float) -> list[str]:
    """Print the growth after the warm-up. Returns the verdicts."""
    settled = [sample for sample in samples if sample.at_s >= settle_s]
    level, more = growth(settled, lambda sample: sample.pss_bytes / 1e6)
    verdicts = [verdict(more / level, at_most=MAX_MEMORY_GROWTH)]
    rows = [["memory (PSS), MB", f"{level:.0f}", f"{more:+.1f}", f"{100 * more / level:+.2f} %", verdicts[0]]]
    for name in ("processes", "threads", "handles"):
        level, more = growth(settled, lambda sample, name=name: getattr(sample, name))  # type: ignore[misc]
        verdicts.append(verdict(more, at_most=MAX_COUNT_GROWTH[name]))
        rows.append([name, f"{level:.1f}", f"{more:+.2f}", "", verdicts[-1]])
    print_table([f"from {settle_s:.0f} s to {settled[-1].at_s:.0f} s", "level", "growth", "share", "limit"], rows)
    return verdicts


def print_answers(outcomes: Sequence[Outcome]) -> list[str]:
    """Print the answers by kind, the faults, and the latency of honest requests. Returns the verdicts."""
    counts = collections.Counter((outcome.kind, outcome.answer, outcome.fault) for outcome in outcomes)
    rows = [[kind, answer, str(count), fault] for (kind, answer, fault), count in sorted(counts.items())]
    print_table(["request", "answer", "count", "fault"], rows)
    honest = [outcome for outcome in outcomes if outcome.kind in HONEST and outcome.answer == "200"]
    p50, p95 = latencies(honest)
    faults = verdict(sum(bool(outcome.fault) for outcome in outcomes), at_most=0)
    in_time = verdict(p95, at_most=MAX_P95_S)
    print(f"wrong, missing or unexpected answers: {faults}")
    print(f"honest requests: {len(honest)}, p50 {1e3 * p50:.0f} ms, p95 {1e3 * p95:.0f} ms, limit in s {in_time}")
    return [faults, in_time]


def in_flight(url: str) -> int:
    counters = httpx.get(f"{url}/info", headers=AUTHORIZATION, timeout=60).raise_for_status().json()["counters"]
    return int(counters["requests_in_flight"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release.add_options(parser, default_size="small")
    parser.add_argument("--minutes", type=float, default=20, help="duration (default: %(default)s)")
    options = parser.parse_args()
    end_on_sigterm()
    folder = release.release_of(options).folder
    print_head(f"soak, {options.minutes:g} minutes, {CLIENTS} clients, {folder}")
    corpus = Corpus(MAX_BODY_BYTES, MAX_ROWS)
    corpus.prepare()
    seconds = 60 * options.minutes
    settings = {
        "API_KEYS": KEY, "TEXT_CACHE_SIZE": TEXT_CACHE_SIZE, "MAX_ROWS": MAX_ROWS, "QUEUE_SIZE": QUEUE_SIZE,
        "MAX_BODY_BYTES": MAX_BODY_BYTES, "QUEUE_BYTES": QUEUE_BYTES,
    }  # fmt: skip
    command = ServerCommand("soak", our_command(folder).argv, {name: str(value) for name, value in settings.items()})
    with Server(command, options.workdir / "logs") as server:
        url, begin = f"http://{HOST}:{server.port}", time.perf_counter()
        with TreeWatch(server.process.pid, "soaking", seconds) as watch:
            outcomes = asyncio.run(soak(url, corpus, seconds))
        time.sleep(2)
        left = in_flight(url)
    print_minutes(watch.samples, outcomes, begin)
    verdicts = [*print_growth(watch.samples, min(SETTLE_S, seconds / 4)), *print_answers(outcomes)]
    verdicts.append(verdict(left, at_most=0))
    print(f"in flight at the end: {verdicts[-1]}")
    sys.exit(any("MISSED" in found for found in verdicts))


if __name__ == "__main__":
    main()
