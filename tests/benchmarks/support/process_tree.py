"""Samples of a server and of all processes that it started: memory, threads, file handles, processes."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from tqdm import tqdm

PERIOD_S = 0.5


@dataclass(frozen=True)
class TreeSample:
    """Sums over a process and its descendants, `at_s` seconds after the watch began.

    Args:
        pss_bytes: memory, in which a page that n processes share counts as 1/n in each.
    """

    at_s: float
    pss_bytes: int
    threads: int
    handles: int
    processes: int


@dataclass
class TreeWatch:
    """Samples a process tree every `PERIOD_S` from a thread for the duration of the `with` block (only on Linux).

    A progress bar of `seconds` is shown with a `label`. `samples` is only appended to.
    """

    pid: int
    label: str = ""
    seconds: float = 0.0
    samples: list[TreeSample] = field(default_factory=list)

    @property
    def peak_bytes(self) -> int:
        return max(sample.pss_bytes for sample in self.samples)

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        begin, total = time.perf_counter(), round(self.seconds)
        with tqdm(total=total, desc=self.label, leave=False, unit="s", disable=not self.label) as bar:
            while not self._ended.wait(PERIOD_S):
                at_s = time.perf_counter() - begin
                self.samples.append(tree_sample(self.pid, at_s))
                bar.update(min(round(at_s), total) - bar.n)


def tree_sample(pid: int, at_s: float = 0.0) -> TreeSample:
    """One sample. A process that ends while it is read is left out.

    Raises:
        psutil.NoSuchProcess: `pid` has ended.
    """
    root = psutil.Process(pid)
    pss_bytes = threads = handles = processes = 0
    for process in (root, *root.children(recursive=True)):
        try:
            found = _pss_bytes(process.pid), process.num_threads(), process.num_fds()
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):  # a zombie has no memory and no handles
            continue
        pss_bytes, threads, handles = pss_bytes + found[0], threads + found[1], handles + found[2]
        processes += 1
    return TreeSample(at_s, pss_bytes, threads, handles, processes)


def _pss_bytes(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(rollup.split("\nPss:")[1].split()[0])
