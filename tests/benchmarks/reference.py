"""Ours against the reference: the public package `MedImageInsights` behind a minimal service, on the same weights.

Measured in one run, in turns, float32 on the CPU: start-up and memory (as `tests.benchmarks.startup`), images a second
and texts a second at 8 clients, one row a request, all rows different. Then images and texts again with one other busy
process on the machine; each server runs as it comes (no OpenMP variables set here; our entry point sets
OMP_WAIT_POLICY=PASSIVE itself). Both are first shown to give the same vectors, and the golden ones.

The reference knows no standardisation, so ours is asked for none (`plain`); its `load_model` leaves the model in
training mode, where its vectors are random, so our service around it calls `eval()`; it runs one request at a time.
Limits: images at least 1.0 x the reference's (aim 1.15), texts at least 5 x; beside a busy process ours keeps at least
the share of the CPUs that the other leaves.
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
    """The runs of one server with one kind of request, on a quiet or a busy machine."""

    loads: list[Load] = field(default_factory=list)
    cpu_s: float = 0.0  # of the server
    other_cpus: list[float] = field(default_factory=list)  # kept busy by others, the busy process not counted

    @property
    def rate(self) -> float:
        """Of all runs together."""
        return sum(load.answered for load in self.loads) / sum(load.seconds for load in self.loads)

    @property
    def cpus(self) -> float:
        """The mean number of CPUs that the server had."""
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
    """How much is posted: `count` rows of a kind to each server in each round."""

    bodies: dict[str, Path]
    counts: dict[str, int]
    rounds: int
    seconds: float
    posted: int = 0  # rounds so far: no text is posted twice to a server


def embed(server: Server, kind: str, value: str) -> Vector:
    body = release.input_data(kind, [value], PLAIN if kind == "image" else None)
    return np.array(server.ask("POST", f"/embed/{kind}", body)[0][f"{kind}_features"][0], np.float32)


def check_same(ours: Server, peer: Server, served: release.Release) -> str:
    """Compare both servers' vectors with each other and, for a generated checkpoint, with the golden ones.

    Returns:
        The largest differences, in words.

    Raises:
        RuntimeError: they differ, so that a comparison of speeds would mean nothing.
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
    """Of one image, and of the texts that ftfy leaves as they are: the package as pip installs it has no ftfy."""
    vectors_file, texts_file = release.golden(size)
    vectors = np.load(vectors_file)
    texts = [entry["text"] for entry in json.loads(texts_file.read_text(encoding="utf-8"))["texts"]]
    plain = [i for i, text in enumerate(texts) if text and text.isascii() and text.isprintable() and "&" not in text]
    pairs = [(embed(server, "image", image), vectors[f"image/plain/{GOLDEN_IMAGE}"])]
    pairs += [(embed(server, "text", texts[number]), vectors[f"text/{number}"]) for number in plain]
    return [float(np.abs(one.ravel() - other.ravel()).max()) for one, other in pairs]


def measure(servers: list[Server], plan: Plan, label: str, *running: int) -> Measured:
    """Images and texts of each server, in turns whose order alternates; `running` is whatever else of ours runs."""
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
    for setting, measured in (("", quiet), (", beside a busy process", busy or {})):
        for (kind, name), series in measured.items():
            ratio, judged = "", ""
            if name == "ours":
                value = series.rate / measured[kind, "reference"].rate
                ratio, judged = f"{value:.2f}", "" if setting else verdict(value, at_least=TARGETS[kind])
            rows.append([f"{kind}s, {name}{setting}", *series.cells, ratio, judged])
    figures = ["rows", "per second", "each run", "p50 ms", "p99 ms", "CPUs", "other CPUs"]
    print_table([f"{CLIENTS} clients", *figures, "ours / ref.", "limit"], rows)
    if busy is not None:
        print_kept(quiet, busy)


def print_kept(quiet: Measured, busy: Measured) -> None:
    """What is left of each server's speed beside one busy process."""
    cpus = len(os.sched_getaffinity(0))
    left, fair = (cpus - 1) / cpus, cpus / (cpus + 1)
    rows = []
    for (kind, name), series in busy.items():
        alone = quiet[kind, name]
        kept = series.rate / alone.rate
        judged = verdict(kept, at_least=left) if name == "ours" else ""
        rows.append([f"{kind}s, {name}", f"{series.cpus / alone.cpus:.2f}", f"{kept:.2f}", judged])
    print_table(["kept beside a busy process", "of its CPU time", "of its speed", "limit"], rows)
    print(f"{cpus} CPUs: {left:.2f} is left when the other holds one, {fair:.2f} if it gets one share of {cpus + 1}")


@contextlib.contextmanager
def busy_process() -> Iterator[int]:
    """Another process that wants one whole CPU, and nothing else; gives its id."""
    program = f"import time\nend = time.monotonic() + {BUSY_LIMIT_S}\nwhile time.monotonic() < end: pass"
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def prepare(options: argparse.Namespace) -> Plan:
    """The bodies of all rounds, quiet and busy, written to files."""
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
    parser.add_argument("--rounds", type=int, default=2, help="turns in each setting (default: %(default)s)")
    parser.add_argument("--images", type=int, default=8, help="a server and round (default: %(default)s)")
    parser.add_argument("--texts", type=int, default=96, help="a server and round (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=120, help="post nothing new in a run after this long")
    parser.add_argument("--starts", type=int, default=3, help="of each server, 0 for none (default: %(default)s)")
    parser.add_argument("--without-busy", action="store_true", help="leave out the runs beside a busy process")
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    end_on_sigterm()
    served = release.release_of(options)
    ours, peer = our_command(served.folder), peer_command(served, options.workdir)
    print_head(f"ours against the reference, {served.folder}", {"reference": str(peer_python(options.workdir))})
    release.warm_file_cache(served.weights)
    logs = options.workdir / "logs"
    if options.starts:
        print_starts(measure_starts([ours, peer], options.starts, logs), served.weights)
    plan = prepare(options)
    with Server(ours, logs) as our_server, Server(peer, logs) as peer_server:
        servers = [our_server, peer_server]
        print(f"\nlargest difference of a component (at most {SAME:g}): {check_same(our_server, peer_server, served)}")
        quiet, busy = measure(servers, plan, "quiet"), None
        if not options.without_busy:
            with busy_process() as spinning:
                busy = measure(servers, plan, "beside a busy process", spinning)
        memory = ", ".join(f"{server.name} {server.peak_bytes() / GB:.2f} GB" for server in servers)
    print_results(quiet, busy)
    print(f"peak memory after all of it: {memory}")


if __name__ == "__main__":
    main()
