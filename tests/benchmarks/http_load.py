"""HTTP: requests a second, p50 and p99 of our server over 1 to 64 clients, beside the engine that it wraps.

Every request holds one image or one text, all different. The peer is the engine in a process of its own on the same
inputs in the same run, in batches as large as the server's: its device work alone, and with decoding and preprocessing
(or tokenising) like `medimageinsight embed`. Engine and server are measured in turns at 16 clients, medians are shown;
the ratio is to the engine with decoding. Limits at 16 clients, images: 0.9 of the engine at full size, 0.6 with the
small checkpoint. What the load generator could do against a server that computes nothing is shown as well.
"""

import argparse
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tests.benchmarks.support import inputs, release
from tests.benchmarks.support.engine_worker import Worker, engine_worker
from tests.benchmarks.support.load import Load, generator_limit, run_load
from tests.benchmarks.support.machine import OtherWork, print_head, print_table, verdict
from tests.benchmarks.support.servers import Server, end_on_sigterm, our_command

COMPARED_CLIENTS = 16
TARGETS = {"small": 0.6, "full": 0.9}
DIFFERENT_IMAGES = 200
COUNTS = {"small": {"image": 128, "text": 1000}, "full": {"image": 8, "text": 200}}  # requests, at least the clients
LIMIT_NAMES = {"image": "max_batch_size", "text": "text_batch_tokens"}


@dataclass
class Side:
    """One kind of request: where it goes, its prepared bodies, and how many are posted at once."""

    kind: str
    bodies: Path
    count: int
    batch: int
    used: int = 0  # bodies posted so far: texts must never come again

    @property
    def path(self) -> str:
        return f"/embed/{self.kind}"

    def requests(self, clients: int) -> int:
        return max(self.count, clients)

    def next_first(self, clients: int) -> int:
        first, self.used = self.used, self.used + self.requests(clients)
        return first


def measure_pair(server: Server, worker: Worker, side: Side, rounds: int) -> tuple[dict[str, float], list[Load]]:
    """Engine and server in turns at 16 clients: the engine's medians in entries a second, and the server's runs."""
    count = side.requests(COMPARED_CLIENTS)
    engine: dict[str, list[float]] = {"device": [], "pipeline": []}
    served: list[Load] = []
    for _ in tqdm(range(rounds), desc=f"{side.kind}s: engine and server", leave=False, unit="round"):
        first = side.next_first(COMPARED_CLIENTS)
        for part, rates in engine.items():
            seconds = worker.seconds(f"{side.kind}s_{part}", first=first, count=count, batch=side.batch)
            rates.append(count / seconds)
        served.append(load_side(server, side, COMPARED_CLIENTS, count, first))
    return {part: statistics.median(rates) for part, rates in engine.items()}, served


def measure_levels(server: Server, side: Side, levels: list[int]) -> dict[int, list[Load]]:
    """The server at each number of clients, once."""
    measured = {}
    for clients in tqdm(levels, desc=f"{side.kind}s: clients", leave=False, unit="level"):
        count, first = side.requests(clients), side.next_first(clients)
        measured[clients] = [load_side(server, side, clients, count, first)]
    return measured


def load_side(server: Server, side: Side, clients: int, count: int, first: int) -> Load:
    label = f"{side.kind}s, {clients} clients"
    return run_load(server.port, side.path, side.bodies, clients=clients, count=count, first=first, label=label)


def print_side(
    side: Side, engine: dict[str, float], loads: dict[int, list[Load]], alone: Load, target: float | None
) -> None:
    rows = [
        [f"engine, {part}", "", "", f"{rate:.2f}", "", "", f"{rate / engine['pipeline']:.2f}", ""]
        for part, rate in (("device only", engine["device"]), ("with decoding, tokenising", engine["pipeline"]))
    ]
    for clients, runs in sorted(loads.items()):
        rate, p50, p99 = (statistics.median(values) for values in zip(*map(figures, runs), strict=True))
        ratio = rate / engine["pipeline"]
        judged = verdict(ratio, at_least=target) if clients == COMPARED_CLIENTS else ""
        answered = sum(run.answered for run in runs)
        rows.append([
            "server", str(clients), str(answered), f"{rate:.2f}", f"{p50:.0f}", f"{p99:.0f}", f"{ratio:.2f}", judged
        ])  # fmt: skip
    rows.append([
        "load generator alone", str(COMPARED_CLIENTS), str(alone.answered), f"{alone.rate:.0f}", f"{alone.p50_ms:.1f}",
        f"{alone.p99_ms:.1f}", f"{alone.rate / engine['pipeline']:.1f}", "",
    ])  # fmt: skip
    print_table([f"{side.kind}s", "clients", "requests", "per second", "p50 ms", "p99 ms", "/ engine", "limit"], rows)
    busiest = max(run.cpu_share for runs in loads.values() for run in runs)
    print(f"batches of at most {side.batch} {'images' if side.kind == 'image' else 'tokens'}; "
          f"the load generator took at most {busiest:.0%} of one CPU")  # fmt: skip


def figures(run: Load) -> tuple[float, float, float]:
    return run.rate, run.p50_ms, run.p99_ms


def prepare(options: argparse.Namespace, limits: dict[str, Any], levels: list[int]) -> list[Side]:
    """The bodies of both kinds, written to files; as many texts as will ever be posted, and one for each again."""
    folder: Path = options.workdir / "bodies"
    folder.mkdir(parents=True, exist_ok=True)
    sides = []
    for kind, count in COUNTS[options.size].items():
        count = options.requests or count
        posted = options.rounds * max(count, COMPARED_CLIENTS) + sum(max(count, clients) for clients in levels)
        if kind == "image":
            bodies = inputs.image_bodies(inputs.images(min(posted, DIFFERENT_IMAGES)))
        else:
            bodies = inputs.text_bodies(inputs.labels(posted))
        file = inputs.write_lines(folder / f"{kind}.jsonl", tqdm(bodies, desc=f"writing {kind}s", leave=False))
        sides.append(Side(kind, file, count, batch=limits[LIMIT_NAMES[kind]]))
    return [side for side in sides if side.kind in options.kinds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release.add_options(parser, default_size="small")
    parser.add_argument("--clients", default="1,2,4,8,16,32,64", help="levels (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of engine and server (default: %(default)s)")
    parser.add_argument("--requests", type=int, help="a level, at least one a client (default: by --size)")
    parser.add_argument("--kinds", nargs="+", choices=["image", "text"], default=["image", "text"])
    options = parser.parse_args()
    end_on_sigterm()
    served = release.release_of(options)
    levels = [int(clients) for clients in options.clients.split(",")]
    print_head(f"requests over HTTP, {served.folder}")
    with Server(our_command(served.folder), options.workdir / "logs") as server:
        sides = prepare(options, server.ask("GET", "/info")["limits"], levels)
        files = {kind: options.workdir / "bodies" / f"{kind}.jsonl" for kind in COUNTS[options.size]}
        with engine_worker(served.folder, files["image"], files["text"]) as worker:
            for side in sides:
                measure_side(server, worker, side, options, levels)


def measure_side(server: Server, worker: Worker, side: Side, options: argparse.Namespace, levels: list[int]) -> None:
    others = OtherWork(server.process.pid, worker.pid)
    engine, at_compared = measure_pair(server, worker, side, options.rounds)
    loads = measure_levels(server, side, [clients for clients in levels if clients != COMPARED_CLIENTS])
    alone = generator_limit(side.bodies, COMPARED_CLIENTS, 10 * side.requests(COMPARED_CLIENTS))
    target = TARGETS[options.size] if side.kind == "image" else None
    print_side(side, engine, loads | {COMPARED_CLIENTS: at_compared}, alone, target)
    print(f"other work kept {others.cpus:.2f} CPUs busy meanwhile")


if __name__ == "__main__":
    main()
