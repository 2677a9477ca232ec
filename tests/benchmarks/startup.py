"""Start-up: time until `GET /health/ready` answers 200, and peak memory, of our server and of the reference.

Both load the same weights, which are in the file cache, and start in turns; medians are shown. The reference is the
package `MedImageInsights` behind `tests.benchmarks.peer_apps.reference_app`. Limits: at most 0.5 x the time of the
reference; peak memory of at most 1.25 x the weights file plus 0.6 GB. Our time is also split into imports, load and
warm-up.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from tests.benchmarks.peer_apps.peer import peer_command, peer_python
from tests.benchmarks.support import release
from tests.benchmarks.support.machine import GB, OtherWork, print_head, print_table, verdict
from tests.benchmarks.support.servers import Server, ServerCommand, end_on_sigterm, our_command

TIME_LIMIT = 0.5  # ratio to the reference
MEMORY_LIMIT_FILES, MEMORY_LIMIT_GB = 1.25, 0.6


@dataclass(frozen=True)
class Start:
    """One start of one server."""

    ready_s: float
    peak_gb: float
    cpu_s: float  # CPU time until ready, which depends less on other processes than the wall time
    parts_s: dict[str, float]  # empty for the reference, which does not report them
    other_cpus: float = 0.0  # CPUs that other processes kept busy during the start


def measure_starts(commands: Sequence[ServerCommand], rounds: int, logs: Path) -> dict[str, list[Start]]:
    """Start each server `rounds` times, in turns."""
    starts: dict[str, list[Start]] = {command.name: [] for command in commands}
    turns = [command for number in range(rounds) for command in (commands if number % 2 == 0 else commands[::-1])]
    for command in tqdm(turns, desc="starting servers", leave=False, unit="start"):
        others = OtherWork()
        with Server(command, logs) as server:
            start = _start_of(server)
        starts[command.name].append(replace(start, other_cpus=others.cpus))
    return starts


def print_starts(starts: dict[str, list[Start]], weights: Path) -> None:
    """Print the table of `measure_starts`, with the ratios and their limits."""
    median = {name: statistics.median(start.ready_s for start in some) for name, some in starts.items()}
    peak = {name: max(start.peak_gb for start in some) for name, some in starts.items()}
    rows = [
        [
            name, f"{median[name]:.2f}", " ".join(f"{start.ready_s:.2f}" for start in some),
            f"{statistics.median(start.cpu_s for start in some):.2f}", f"{peak[name]:.2f}",
            f"{statistics.fmean(start.other_cpus for start in some):.2f}",
        ]
        for name, some in starts.items()
    ]  # fmt: skip
    print_table(
        ["server", "ready after s (median)", "each start", "CPU s (median)", "peak memory GB", "other CPUs"], rows
    )
    file_gb = weights.stat().st_size / GB
    limit = verdict if file_gb > 1 else lambda *_, **__: "(no limit for a small model)"
    if "reference" in starts:
        ratio = median["ours"] / median["reference"]
        print(f"\ntime, ours / reference: {ratio:.2f}  {limit(ratio, at_most=TIME_LIMIT)}")
    memory_limit = limit(peak["ours"], at_most=MEMORY_LIMIT_FILES * file_gb + MEMORY_LIMIT_GB)
    print(f"our peak memory, GB: {peak['ours']:.2f}  {memory_limit} ({MEMORY_LIMIT_FILES} x file + {MEMORY_LIMIT_GB});"
          f" the weights file has {file_gb:.2f} GB")  # fmt: skip
    print(f"parts of our start (medians): {describe_parts(starts['ours'])}")


def describe_parts(starts: Sequence[Start]) -> str:
    parts = {name: statistics.median(start.parts_s[name] for start in starts) for name in starts[0].parts_s}
    rest = statistics.median(start.ready_s - sum(start.parts_s.values()) for start in starts)
    told = ", ".join(f"{name.removesuffix('_s').replace('_', '-')} {seconds:.2f} s" for name, seconds in parts.items())
    return f"{told}, rest (interpreter, server, polling) {rest:.2f} s"


def commands_of(options: argparse.Namespace, served: release.Release) -> list[ServerCommand]:
    ours = our_command(served.folder)
    return [ours] if options.without_reference else [ours, peer_command(served, options.workdir)]


def _start_of(server: Server) -> Start:
    peak_gb, cpu_s = (
        server.peak_bytes() / GB,
        server.cpu_s(),
    )  # before /info, which reads the whole weights file for its hash
    parts: dict[str, float] = server.ask("GET", "/info")["startup"] if server.name == "ours" else {}
    return Start(server.ready_s, peak_gb, cpu_s, parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release.add_options(parser, default_size="full")
    parser.add_argument("--rounds", type=int, default=3, help="starts of each server (default: %(default)s)")
    parser.add_argument(
        "--without-reference",
        action="store_true",
        help="measure only our server, without the reference's virtual environment",
    )
    options = parser.parse_args()
    end_on_sigterm()
    served = release.release_of(options)
    commands = commands_of(options, served)
    others = {} if options.without_reference else {"reference": str(peer_python(options.workdir))}
    print_head(f"start-up, {served.folder}", others)
    release.warm_file_cache(served.weights)
    print_starts(measure_starts(commands, options.rounds, options.workdir / "logs"), served.weights)


if __name__ == "__main__":
    main()
