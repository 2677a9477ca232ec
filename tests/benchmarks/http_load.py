"""HTTP load: requests per second, p50 and p99 of our server with 1 to 64 clients, compared with the engine alone.

Every request holds one image or one text, all different. The engine runs in its own process on the same inputs in the
same run, in batches as large as the server's. It is measured in two ways: only the device calls, and with decoding
and preprocessing (or tokenizing) like `medimageinsight embed`. Engine and server are measured in turns at 16 clients,
and medians are shown. The ratio compares the server with the engine that also decodes. Limits for images at 16
clients: 0.9 of the engine at full size, 0.6 with the small checkpoint. The last row shows the rate of the load
generator against a server that computes nothing.
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
COUNTS = {"small": {"image": 128, "text": 1000}, "full": {"image": 8, "text": 200}}  # requests per run
LIMIT_NAMES = {"image": "max_batch_size", "text": "text_batch_tokens"}


@dataclass
class Workload:
    """One kind of request: its prepared bodies, the number of requests per run and the size of the engine's batches."""

    kind: str
    bodies: Path
    count: int
    batch: int
    used: int = 0  # number of bodies posted so far, because no text may be posted twice

    @property
    def path(self) -> str:
        return f"/embed/{self.kind}"

    def requests(self, clients: int) -> int:
        return max(self.count, clients)

    def next_first(self, clients: int) -> int:
        first, self.used = self.used, self.used + self.requests(clients)
        return first


def measure_pair(
    server: Server, worker: Worker, workload: Workload, rounds: int
) -> tuple[dict[str, float], list[Load]]:
    """Measure engine and server in turns at 16 clients; returns the engine's median rates and the server's runs."""
    count = workload.requests(COMPARED_CLIENTS)
    engine: dict[str, list[float]] = {"device": [], "pipeline": []}
    served: list[Load] = []
    for _ in tqdm(range(rounds), desc=f"{workload.kind}s: engine and server", leave=False, unit="round"):
        first = workload.next_first(COMPARED_CLIENTS)
        for part, rates in engine.items():
            seconds = worker.seconds(f"{workload.kind}s_{part}", first=first, count=count, batch=workload.batch)
            rates.append(count / seconds)
        served.append(run_workload(server, workload, COMPARED_CLIENTS, count, first))
    return {part: statistics.median(rates) for part, rates in engine.items()}, served


def measure_levels(server: Server, workload: Workload, levels: list[int]) -> dict[int, list[Load]]:
    """Measure the server once at each number of clients."""
    measured = {}
    for clients in tqdm(levels, desc=f"{workload.kind}s: clients", leave=False, unit="level"):
        count, first = workload.requests(clients), workload.next_first(clients)
        measured[clients] = [run_workload(server, workload, clients, count, first)]
    return measured


def run_workload(server: Server, workload: Workload, clients: int, count: int, first: int) -> Load:
    label = f"{workload.kind}s, {clients} clients"
    return run_load(server.port, workload.path, workload.bodies, clients=clients, count=count, first=first, label=label)


def print_workload(
    workload: Workload, engine: dict[str, float], loads: dict[int, list[Load]], generator: Load, target: float | None
) -> None:
    rows = [
        [f"engine, {part}", "", "", f"{rate:.2f}", "", "", f"{rate / engine['pipeline']:.2f}", ""]
        for part, rate in (("device calls only", engine["device"]), ("with decoding or tokenizing", engine["pipeline"]))
    ]
    for clients, runs in sorted(loads.items()):
        rate, p50, p99 = (statistics.median(values) for values in zip(*map(figures, runs), strict=True))
        ratio = rate / engine["pipeline"]
        limit = verdict(ratio, at_least=target) if clients == COMPARED_CLIENTS else ""
        answered = sum(run.answered for run in runs)
        rows.append([
            "server", str(clients), str(answered), f"{rate:.2f}", f"{p50:.0f}", f"{p99:.0f}", f"{ratio:.2f}", limit
        ])  # fmt: skip
    rows.append([
        "load generator, null server", str(COMPARED_CLIENTS), str(generator.answered), f"{generator.rate:.0f}",
        f"{generator.p50_ms:.1f}", f"{generator.p99_ms:.1f}", f"{generator.rate / engine['pipeline']:.1f}", "",
    ])  # fmt: skip
    print_table(
        [f"{workload.kind}s", "clients", "requests", "per second", "p50 ms", "p99 ms", "/ engine", "limit"], rows
    )
    busiest = max(run.cpu_share for runs in loads.values() for run in runs)
    print(f"batches of at most {workload.batch} {'images' if workload.kind == 'image' else 'tokens'}; "
          f"the load generator took at most {busiest:.0%} of one CPU")  # fmt: skip


def figures(run: Load) -> tuple[float, float, float]:
    return run.rate, run.p50_ms, run.p99_ms


def prepare(options: argparse.Namespace, limits: dict[str, Any], levels: list[int]) -> list[Workload]:
    """Write the bodies of both kinds to files; there are as many texts as the whole benchmark posts."""
    folder: Path = options.workdir / "bodies"
    folder.mkdir(parents=True, exist_ok=True)
    workloads = []
    for kind, count in COUNTS[options.size].items():
        count = options.requests or count
        posted = options.rounds * max(count, COMPARED_CLIENTS) + sum(max(count, clients) for clients in levels)
        if kind == "image":
            bodies = inputs.image_bodies(inputs.images(min(posted, DIFFERENT_IMAGES)))
        else:
            bodies = inputs.text_bodies(inputs.labels(posted))
        file = inputs.write_lines(folder / f"{kind}.jsonl", tqdm(bodies, desc=f"writing {kind}s", leave=False))
        workloads.append(Workload(kind, file, count, batch=limits[LIMIT_NAMES[kind]]))
    return [workload for workload in workloads if workload.kind in options.kinds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release.add_options(parser, default_size="small")
    parser.add_argument(
        "--clients", default="1,2,4,8,16,32,64", help="numbers of clients, separated by commas (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=2, help="turns of engine and server at 16 clients (default: %(default)s)"
    )
    parser.add_argument(
        "--requests", type=int, help="requests per number of clients, at least one per client (default: by --size)"
    )
    parser.add_argument("--kinds", nargs="+", choices=["image", "text"], default=["image", "text"],
                        help="kinds of requests (default: both)")  # fmt: skip
    options = parser.parse_args()
    end_on_sigterm()
    served = release.release_of(options)
    levels = [int(clients) for clients in options.clients.split(",")]
    print_head(f"HTTP load, {served.folder}")
    with Server(our_command(served.folder), options.workdir / "logs") as server:
        workloads = prepare(options, server.ask("GET", "/info")["limits"], levels)
        files = {kind: options.workdir / "bodies" / f"{kind}.jsonl" for kind in COUNTS[options.size]}
        with engine_worker(served.folder, files["image"], files["text"]) as worker:
            for workload in workloads:
                measure_workload(server, worker, workload, options, levels)


def measure_workload(
    server: Server, worker: Worker, workload: Workload, options: argparse.Namespace, levels: list[int]
) -> None:
    others = OtherWork(server.process.pid, worker.pid)
    engine, at_compared = measure_pair(server, worker, workload, options.rounds)
    loads = measure_levels(server, workload, [clients for clients in levels if clients != COMPARED_CLIENTS])
    generator = generator_limit(workload.bodies, COMPARED_CLIENTS, 10 * workload.requests(COMPARED_CLIENTS))
    target = TARGETS[options.size] if workload.kind == "image" else None
    print_workload(workload, engine, loads | {COMPARED_CLIENTS: at_compared}, generator, target)
    print(f"other processes kept {others.cpus:.2f} CPUs busy during the measurement")


if __name__ == "__main__":
    main()
