"""The machine and the versions of a benchmark, the CPU time of other processes, and plain tables."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import psutil

DISTRIBUTIONS = ("torch", "timm", "transformers", "medimageinsight-server")
GB = 1e9


class OtherWork:
    """CPU time that processes other than this benchmark have used since this object was made.

    `running` are the ids of the benchmark's child processes that are running now. Children that start and end later
    are counted as part of the benchmark.
    """

    def __init__(self, *running: int) -> None:
        self._running = [psutil.Process(pid) for pid in running]
        self._start, self._busy_s, self._own_s = time.perf_counter(), _busy_s(), self._own()

    @property
    def cpus(self) -> float:
        """The mean number of CPUs that other processes kept busy."""
        others_s = (_busy_s() - self._busy_s) - (self._own() - self._own_s)
        return max(0.0, others_s / (time.perf_counter() - self._start))

    def _own(self) -> float:
        ended = psutil.Process().cpu_times()
        running = [process.cpu_times() for process in self._running]
        return sum(times.user + times.system for times in [*running, ended]) + float(
            ended.children_user + ended.children_system
        )


def print_head(title: str, interpreters: dict[str, str] | None = None) -> None:
    """Print the title, the machine and the versions of this environment and of `interpreters`, by name."""
    print(f"\n{title}\n{describe_machine()}\nours: {describe_versions()}")
    for name, interpreter in (interpreters or {}).items():
        print(f"{name}: {versions_of(interpreter)}")


def describe_machine() -> str:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().total / GB
    others = psutil.cpu_percent(interval=2)  # no process of this benchmark runs yet
    return f"machine: {cpu_model()}, {cpus} CPUs ({others:.0f}% busy with other processes), {memory:.0f} GB memory"


def cpu_model() -> str:
    """The processor's name, family and vector instructions; virtual machines shorten the name."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    pairs = (line.split(":", 1) for line in cpuinfo.read_text().split("\n\n")[0].splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in pairs}
    if "model name" not in facts:
        return platform.machine()
    widest = next((name for name in ("avx512f", "avx2") if name in facts.get("flags", "").split()), "no AVX2")
    return f"{facts['model name']} (family {facts.get('cpu family')}, model {facts.get('model')}, {widest})"


def describe_versions(distributions: Sequence[str] = DISTRIBUTIONS) -> str:
    return ", ".join([f"python {platform.python_version()}", *(f"{name} {_version(name)}" for name in distributions)])


def versions_of(interpreter: str) -> str:
    """`describe_versions` of another virtual environment."""
    names = ("MedImageInsights", "torch", "timm", "transformers", "fastapi", "uvicorn")
    program = (
        "import platform; from importlib.metadata import version; "
        f"print('python', platform.python_version(), *(f', {{n}} {{version(n)}}' for n in {names}), sep='')"
    )
    done = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip().replace("python", "python ", 1)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, the first one left-aligned, the others right-aligned."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    print()
    for row in [header, ["-" * width for width in widths], *rows]:
        first, *others = (cell.ljust if not column else cell.rjust for column, cell in enumerate(row))
        print(
            "  ".join([first(widths[0]), *(pad(width) for pad, width in zip(others, widths[1:], strict=True))]).rstrip()
        )
    sys.stdout.flush()


def verdict(value: float, *, at_least: float | None = None, at_most: float | None = None) -> str:
    """The limit, and `pass` or `MISSED`; empty without a limit."""
    if at_least is not None:
        return f">= {at_least:.2f} {'pass' if value >= at_least else 'MISSED'}"
    if at_most is not None:
        return f"<= {at_most:.2f} {'pass' if value <= at_most else 'MISSED'}"
    return ""


def _busy_s() -> float:
    times = psutil.cpu_times()._asdict()
    return float(sum(times.values()) - sum(times.get(name, 0) for name in ("idle", "iowait", "guest", "guest_nice")))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
