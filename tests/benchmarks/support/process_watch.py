"""Samples of the memory, threads and file handles of a server process."""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import psutil
from tqdm import tqdm

PERIOD_S = 0.1


@dataclass(frozen=True)
class Sample:
    """Memory, threads and file handles of a process, `at_s` seconds after the watch began."""

    at_s: float
    rss_bytes: int
    threads: int
    handles: int


@dataclass
class ProcessWatch:
    """Samples a process from a thread for the duration of the `with` block.

    With a `label`, a progress bar of `seconds` is shown.
    """

    pid: int
    label: str = ""
    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)

    @property
    def peak_bytes(self) -> int:
        return max(sample.rss_bytes for sample in self.samples)

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        process, begin = psutil.Process(self.pid), time.perf_counter()
        total = round(self.seconds)
        with tqdm(total=total, desc=self.label, leave=False, unit="s", disable=not self.label) as bar:
            while True:
                at_s = time.perf_counter() - begin
                with process.oneshot():
                    self.samples.append(
                        Sample(at_s, process.memory_info().rss, process.num_threads(), process.num_fds())
                    )
                bar.update(min(round(at_s), total) - bar.n)
                if self._ended.wait(PERIOD_S):
                    return
