"""Our server compared with the reference: the package `MedImageInsights` behind a minimal service, on the same weights.

Both run float32 on the CPU and are measured in turns, in one run: start-up and memory (as `tests.benchmarks.startup`),
then images per second and texts per second at 8 clients, with one row per request and all rows different. Images and
texts are then measured again while another process keeps one CPU busy. No OpenMP variables are set for either server;
our entry point sets OMP_WAIT_POLICY=PASSIVE itself. Before that, both servers must give the same vectors, equal to the
golden ones.

The reference has no standardization, so our server is asked for none (`plain`). Its `load_model` leaves the model in
training mode, where its vectors are random, so the service around it calls `eval()`. It runs one request at a time.
Limits: at least 1.0 x the images per second of the reference (aim 1.15), at least 5 x its texts per second; with a
busy process, our server keeps at least the share of its speed that corresponds to the CPUs left.
"""

import argparse
import base64
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tests.benchmarks.peer_apps.peer import peer_command, peer_python
from tests.benchmarks.startup import measure_starts, print_starts
from tests.benchmarks.support import inputs, release
from tests.benchmarks.support.load import Load, run_load
from tests.benchmarks.support.machine import GB, OtherWork, print_head, print_table, verdict
from tests.benchmarks.support.servers import Server, end_on_sigterm, our_command

CLIENTS = 8
PLAIN = {"image_standardization_jpeg_compression_ratio": 0}
TARGETS = {"image": 1.0, "text": 5.0}
SAME = 1e-4  # largest difference of a component, as in tests/parity
GOLDEN_IMAGE = "ct_gray.png"
BUSY_LIMIT_S = 3600
Vector = NDArray[np.float32]


@dataclass
class Series:
    """The runs of one server with one kind of request, with or without another busy process."""

    loads: list[Load] = field(default_factory=list)
    cpu_s: float = 0.0  # CPU time of the server
    other_cpus: list[float] = field(
        default_factory=list
    )  # CPUs that other processes kept busy, without our busy process

    @property
    def rate(self) -> float:
        """Requests per second over all runs."""
        return sum(load.answered for load in self.loads) / sum(load.seconds for load in self.loads)

    @property
    def cpus(self) -> float:
        """The mean number of CPUs that the server used."""
        return self.cpu_s / sum(load.seconds for load in self.loads)

    @property
    def cells(self) -> list[str]:
        each = " ".join(f"{load.rate:.3g}" for load in self.loads)
        p50, p99 = (
            statistics.median(one.p50_ms for one in self.loads),
            statistics.median(one.p99_ms for one in self.loads),
        )
        rows, others = sum(load.answered for load in self.loads), statistics.fmean(self.other_cpus)
        return [str(rows), f"{self.rate:.3g}", each, f"{p50:.0f}", f"{p99:.0f}", f"{self.cpus:.2f}", f"{others:.2f}"]


Measured = dict[tuple[str, str], Series]  # by kind and server


@dataclass
class Plan:
    """The requests of the benchmark: `counts[kind]` rows per server and round, from the files `bodies`."""

    bodies: dict[str, Path]
    counts: dict[str, int]
    rounds: int
    seconds: float
    posted: int = 0  # number of rounds so far, because no text is posted twice to a server


def embed(server: Server, kind: str, value: str) -> Vector:
    body = release.input_data(kind, [value], PLAIN if kind == "image" else None)
    return np.array(server.ask("POST", f"/embed/{kind}", body)[0][f"{kind}_features"][0], np.float32)


def check_same(ours: Server, peer: Server, served: release.Release) -> str:
    """Compare both servers' vectors with each other and, for a generated checkpoint, with the golden ones.

    Returns:
        A sentence with the largest differences.

    Raises:
        RuntimeError: a component differs by more than `SAME`; a comparison of speeds would then mean nothing.
    """
    image = base64.b64encode((release.PARITY / "images" / GOLDEN_IMAGE).read_bytes()).decode()
    different = {"each other": [np.abs(embed(ours, *one) - embed(peer, *one)).max() for one in probes(image)]}
    if served.size:
        for server in (ours, peer):
            different[f"golden ({server.name})"] = golden_differences(server, image, served.size)
    for pair, differences in different.items():
        if max(differences) > SAME:
            raise RuntimeError(f"the vectors are not equal: {pair} differ by {max(differences):.1e}")
    return ", ".join(f"{pair} {max(some):.1e} over {len(some)}" for pair, some in different.items())


def probes(image: str) -> list[tuple[str, str]]:
    varied = [base64.b64encode(one).decode() for one in inputs.images(2)[1:]]
    return [("image", image), *(("image", one) for one in varied), *(("text", one) for one in inputs.labels(8))]


def golden_differences(server: Server, image: str, size: release.Size) -> list[float]:
    """The largest difference per vector, for one image and for texts that ftfy does not change.

    pip installs the package without ftfy, so other texts would differ.
    """
    vectors_file, texts_file = release.golden(size)
    vectors = np.load(vectors_file)
    texts = [entry["text"] for entry in json.loads(texts_file.read_text(encoding="utf-8"))["texts"]]
    plain = [i for i, text in enumerate(texts) if text and text.isascii() and text.isprintable() and "&" not in text]
    pairs = [(embed(server, "image", image), vectors[f"image/plain/{GOLDEN_IMAGE}"])]
    pairs += [(embed(server, "text", texts[number]), vectors[f"text/{number}"]) for number in plain]
    return [float(np.abs(one.ravel() - other.ravel()).max()) for one, other in pairs]


def measure(servers: list[Server], plan: Plan, label: str, *running: int) -> Measured:
    """Measure all servers in alternating order. `running` are ids of other processes of this benchmark."""
    measured = {(kind, server.name): Series() for kind in plan.bodies for server in servers}
    pids = [*(server.process.pid for server in servers), *running]
    for _ in tqdm(range(plan.rounds), desc=label, leave=False, unit="round"):
        for kind, bodies in plan.bodies.items():
            count = plan.counts[kind]
            for server in servers if plan.posted % 2 == 0 else servers[::-1]:
                series, others = measured[kind, server.name], OtherWork(*pids)
                cpu_s = server.cpu_s()
                series.loads.append(run_load(
                    server.port, f"/embed/{kind}", bodies, clients=CLIENTS, count=count, first=plan.posted * count,
                    seconds=plan.seconds, label=f"{server.name}, {kind}s, {label}",
                ))  # fmt: skip
                series.cpu_s += server.cpu_s() - cpu_s
                series.other_cpus.append(others.cpus)
        plan.posted += 1
    return measured


def print_results(quiet: Measured, busy: Measured | None) -> None:
    rows = []
    for setting, measured in (("", quiet), (", with a busy process", busy or {})):
        for (kind, name), series in measured.items():
            ratio, limit = "", ""
            if name == "ours":
                value = series.rate / measured[kind, "reference"].rate
                ratio, limit = f"{value:.2f}", "" if setting else verdict(value, at_least=TARGETS[kind])
            rows.append([f"{kind}s, {name}{setting}", *series.cells, ratio, limit])
    figures = ["rows", "per second", "each run", "p50 ms", "p99 ms", "CPUs", "other CPUs"]
    print_table([f"{CLIENTS} clients", *figures, "ours / reference", "limit"], rows)
    if busy is not None:
        print_kept(quiet, busy)


def print_kept(quiet: Measured, busy: Measured) -> None:
    """Print the share of its speed that each server keeps while another process is busy."""
    cpus = len(os.sched_getaffinity(0))
    left, fair = (cpus - 1) / cpus, cpus / (cpus + 1)
    rows = []
    for (kind, name), series in busy.items():
        undisturbed = quiet[kind, name]
        kept = series.rate / undisturbed.rate
        limit = verdict(kept, at_least=left) if name == "ours" else ""
        rows.append([f"{kind}s, {name}", f"{series.cpus / undisturbed.cpus:.2f}", f"{kept:.2f}", limit])
    print_table(["kept with a busy process", "share of CPU time", "share of speed", "limit"], rows)
    print(f"{cpus} CPUs: {left:.2f} is left if the other process takes a whole CPU, {fair:.2f} if all share fairly")


@contextlib.contextmanager
def busy_process() -> Iterator[int]:
    """Run a process that uses one whole CPU; yields its id."""
    program = f"import time\nend = time.monotonic() + {BUSY_LIMIT_S}\nwhile time.monotonic() < end: pass"
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def prepare(options: argparse.Namespace) -> Plan:
    """Write the bodies of all rounds, with and without a busy process, to files."""
    folder: Path = options.workdir / "bodies"
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"image": options.images, "text": options.texts}
    images = inputs.image_bodies(inputs.images(2 * options.rounds * options.images), PLAIN)
    texts = inputs.text_bodies(inputs.labels(2 * options.rounds * options.texts))
    bodies = {
        "image": inputs.write_lines(folder / "reference_images.jsonl", images),
        "text": inputs.write_lines(folder / "reference_texts.jsonl", texts),
    }
    return Plan(bodies, counts, options.rounds, options.seconds)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release.add_options(parser, default_size="full")
    parser.add_argument(
        "--rounds", type=int, default=2, help="rounds, with and without a busy process (default: %(default)s)"
    )
    parser.add_argument("--images", type=int, default=8, help="images per server and round (default: %(default)s)")
    parser.add_argument("--texts", type=int, default=96, help="texts per server and round (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=120, help="time after which a run posts no new request (default: %(default)s)"
    )
    parser.add_argument(
        "--starts", type=int, default=3, help="starts of each server, 0 for none (default: %(default)s)"
    )
    parser.add_argument("--without-busy", action="store_true", help="leave out the runs with a busy process")
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    end_on_sigterm()
    served = release.release_of(options)
    ours, peer = our_command(served.folder), peer_command(served, options.workdir)
    print_head(f"our server and the reference, {served.folder}", {"reference": str(peer_python(options.workdir))})
    release.warm_file_cache(served.weights)
    logs = options.workdir / "logs"
    if options.starts:
        print_starts(measure_starts([ours, peer], options.starts, logs), served.weights)
    plan = prepare(options)
    with Server(ours, logs) as our_server, Server(peer, logs) as peer_server:
        servers = [our_server, peer_server]
        print(f"\nlargest difference of a component (at most {SAME:g}): {check_same(our_server, peer_server, served)}")
        quiet, busy = measure(servers, plan, "undisturbed"), None
        if not options.without_busy:
            with busy_process() as spinning:
                busy = measure(servers, plan, "with a busy process", spinning)
        memory = ", ".join(f"{server.name} {server.peak_bytes() / GB:.2f} GB" for server in servers)
    print_results(quiet, busy)
    print(f"peak memory at the end: {memory}")


if __name__ == "__main__":
    main()
