"""Pool of workers: order of the tasks, choice of the worker, limits of time, and replacement of workers that ended."""

import asyncio
import bisect
import collections
import logging
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from app.decoding.decoder import Decoder, Payload, Reply, Task
from app.decoding.fork_client import PROGRAM, ForkClient
from app.decoding.workers import NO_REPLY, ProcessWorker, ThreadWorker, Worker, WorkerEnded
from app.errors import NotReady
from app.fair_queueing import Flow, VirtualTime
from model.errors import DecoderFailed, ImageTooCostly, InvalidInput, OutOfMemory

logger = logging.getLogger("medimageinsight")

WALL_PER_CPU = 3
"""Seconds of the clock that an image may take, per second of CPU time: other processes may use the CPUs."""
ENDS = ("crashed", "killed", "time", "memory", "cancelled")
"""Why a worker is replaced."""
STOPPING = "The service is stopping."


@dataclass(order=True)
class _Waiting:
    start_tag: float
    number: int
    file: object | None = field(compare=False)
    may_spread: bool = field(compare=False)
    granted: "asyncio.Future[Worker]" = field(compare=False)


class DecoderPool:
    """Gives each task to a worker. It must be used on the event loop.

    Args:
        workers: processes or threads.
        cpu_s: seconds of CPU time per image, to which the workers keep themselves; after `WALL_PER_CPU` times as many
            seconds of the clock, a worker is ended.
        on_stop: called after the workers are stopped.

    Attributes:
        size: number of workers.
        ends: number of workers that were replaced, per reason in `ENDS`.
    """

    def __init__(self, workers: Sequence[Worker], *, cpu_s: float, on_stop: Callable[[], None] = lambda: None) -> None:
        self.size, self._on_stop = len(workers), on_stop
        self.cpu_s = cpu_s
        self.ends: collections.Counter[str] = collections.Counter(dict.fromkeys(ENDS, 0))
        self._free = list(workers)
        self._busy: dict[Worker, float] = {}  # since when, by time.monotonic
        self._files: dict[Worker, object | None] = {}  # of the tasks of the busy workers
        self._overtime: set[Worker] = set()
        self._closed_later: dict[Worker, set[object]] = {}  # files that busy workers close after their tasks
        self._waiting: list[_Waiting] = []
        self._numbers = count()
        self._time = VirtualTime()
        self._stopped = False

    @classmethod
    def of_processes(cls, size: int, *, memory_bytes: int, cpu_s: float, program: str = PROGRAM) -> "DecoderPool":
        """A pool of processes, which start now.

        Args:
            size: number of processes.
            memory_bytes: memory that an image may take.
            cpu_s: seconds of CPU time that an image may take.
            program: module of the fork server.
        """
        client = ForkClient(memory_bytes=memory_bytes, cpu_s=cpu_s, program=program)
        return cls([ProcessWorker(client) for _ in range(size)], cpu_s=cpu_s, on_stop=client.stop)

    @classmethod
    def of_threads(cls, size: int, *, cpu_s: float) -> "DecoderPool":
        """A pool of threads, which can neither be limited nor ended."""
        return cls([ThreadWorker(Decoder()) for _ in range(size)], cpu_s=cpu_s)

    @property
    def busy(self) -> int:
        """Number of workers that perform a task."""
        return len(self._busy)

    @property
    def waiting(self) -> int:
        """Number of tasks that wait for a worker."""
        return sum(not waiting.granted.done() for waiting in self._waiting)

    @property
    def is_broken(self) -> bool:
        """Whether no worker can perform anything, until `check` has replaced one."""
        return not self._busy and all(worker.has_ended for worker in self._free)

    @property
    def silent_s(self) -> float:
        """Seconds since the start of the oldest task that is performed; 0 if there is none."""
        now = time.monotonic()
        return now - min(self._busy.values(), default=now)

    @property
    def hanging_s(self) -> float:
        """Seconds for which every worker has been busy with one task; 0 if one is free."""
        return 0.0 if self._free or not self._busy else time.monotonic() - max(self._busy.values())

    def flow(self) -> Flow:
        """The flow of a new request, which shares the workers fairly with the other flows."""
        return Flow(self._time)

    async def perform(
        self,
        task: Task,
        payload: Payload,
        *,
        start_tag: float,
        file: object | None = None,
        may_spread: bool = True,
        on_start: Callable[[], None] = lambda: None,
    ) -> Reply:
        """Perform a task as soon as a worker is free. If this is cancelled, the worker is ended.

        Args:
            task: what is asked.
            payload: the image.
            start_tag: from the request's `flow`; the lowest is served first.
            file: a key; a worker keeps the file open, and later tasks with the same key go to it if it is free.
            may_spread: whether other workers may open the file as well, while the one that has it is busy.
            on_start: called when a worker begins.

        Raises:
            InvalidInput: the image is refused. ImageTooCostly and DecoderFailed: its worker had to be ended.
            NotReady: the pool is stopped.
        """
        worker = await self._take(start_tag, file, may_spread)
        on_start()
        is_open = file is not None and worker.kept is file
        if file is not None and not is_open:
            worker.kept = None  # the worker closes its file before it opens another one
        try:
            reply = await worker.perform(replace(task, keep_open=file is not None), None if is_open else payload)
        except WorkerEnded as ended:
            if self._stopped:
                raise NotReady(STOPPING) from None
            raise self._reason(worker, ended.status) from None
        except (ImageTooCostly, OutOfMemory):
            self._finish(worker, "memory" if worker.can_be_ended else "")
            raise
        except InvalidInput:
            self._finish(worker)
            raise
        except asyncio.CancelledError:
            self._replace(worker, "cancelled")
            raise
        except BaseException:
            self._replace(worker, "crashed")
            raise
        worker.kept = worker.kept if file is None else file
        self._finish(worker)
        return reply

    def forget(self, file: object) -> None:
        """Close a file wherever it is kept open, in a busy worker after its task."""
        for worker in self._free:
            if worker.kept is file:
                worker.forget()
        for worker in self._busy:
            self._closed_later.setdefault(worker, set()).add(file)

    def check(self, paused_s: float = 0.0) -> None:
        """End the workers whose task takes too long, and replace those that have ended while they were free.

        Args:
            paused_s: seconds for which this process did not run, which do not count.
        """
        now = time.monotonic()
        for worker, began in self._busy.items():
            self._busy[worker] = min(now, began + paused_s)
        for worker, began in self._busy.items():
            if worker.can_be_ended and worker not in self._overtime and now - began > WALL_PER_CPU * self.cpu_s:
                self._overtime.add(worker)
                worker.kill()
        self._assign()

    def stop(self) -> None:
        """End the workers; tasks that wait, or come later, get NotReady."""
        self._stopped = True
        for waiting in self._waiting:
            if not waiting.granted.done():
                waiting.granted.set_exception(NotReady(STOPPING))
        try:
            for worker in [*self._free, *self._busy]:
                worker.stop()
        finally:
            self._on_stop()

    async def _take(self, start_tag: float, file: object | None, may_spread: bool) -> Worker:
        if self._stopped:
            raise NotReady(STOPPING)
        granted: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        bisect.insort(self._waiting, _Waiting(start_tag, next(self._numbers), file, may_spread, granted))
        self._assign()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self._release(granted.result())  # granted and cancelled in the same iteration of the event loop
            raise

    def _assign(self) -> None:
        """Give free workers to the tasks that wait, the lowest start tag first."""
        if self._stopped:
            return
        for ended in [worker for worker in self._free if worker.has_ended]:
            self._free.remove(ended)
            ended.abandon(self._put_in_place)
        left: list[_Waiting] = []
        for number, waiting in enumerate(self._waiting):
            if not self._free:
                left += self._waiting[number:]
                break
            if waiting.granted.done():
                continue
            worker = self._suited(waiting.file, waiting.may_spread)
            if worker is None:
                left.append(waiting)
                continue
            self._free.remove(worker)
            self._busy[worker], self._files[worker] = time.monotonic(), waiting.file
            self._time.advance(waiting.start_tag)
            waiting.granted.set_result(worker)
        self._waiting = left

    def _suited(self, file: object | None, may_spread: bool) -> Worker | None:
        """The free worker for a task: one that has its file open, or one with no open file, or any.

        A task whose file is open, or being opened, in a busy worker only waits for that, rather than displace the file
        of another.
        """
        if file is not None:
            for worker in self._free:
                if worker.kept is file:
                    return worker
        is_open = file is not None and any(file in (worker.kept, self._files[worker]) for worker in self._busy)
        if not is_open or may_spread:
            for worker in self._free:
                if worker.kept is None:
                    return worker
        return None if is_open else self._free[0]

    def _finish(self, worker: Worker, reason: str = "") -> None:
        """Free a worker that has replied, or replace it for a reason: it may have been ended at the same moment."""
        if worker in self._overtime:
            reason = "time"
        if reason:
            self._replace(worker, reason)
        else:
            self._release(worker)

    def _put_in_place(self, worker: Worker) -> None:
        """Take a worker in the place of one that had ended while it was free; it may be unable to start as well."""
        self.ends["killed"] += not worker.has_ended
        self._free.append(worker)

    def _release(self, worker: Worker) -> None:
        del self._busy[worker], self._files[worker]
        if worker.kept in self._closed_later.pop(worker, ()):
            worker.forget()
        self._free.append(worker)
        self._assign()

    def _replace(self, worker: Worker, reason: str) -> None:
        self.ends[reason] += 1
        self._overtime.discard(worker)
        self._closed_later.pop(worker, None)

        def replaced(by: Worker) -> None:
            self._busy[by], self._files[by] = self._busy.pop(worker), self._files.pop(worker)
            self._release(by)

        if not self._stopped:
            worker.abandon(replaced)

    def _reason(self, worker: Worker, status: int) -> InvalidInput:
        """Replace a worker that ended; the error of its image."""
        if worker in self._overtime or status == -signal.SIGPROF:
            self._replace(worker, "time")
            return ImageTooCostly(
                f"decoding the image takes more than the {self.cpu_s:g} seconds that are allowed; send a smaller image"
            )
        if status == -signal.SIGKILL:
            logger.error(
                "a decoder worker was ended from outside, or could not be started, and is replaced; if the system had "
                "no memory, processes or open files left, give it more, or lower DECODE_WORKERS"
            )
            self._replace(worker, "killed")
            return OutOfMemory("the decoder of the image was ended from outside; send the image again later")
        what = "sent no reply" if status == NO_REPLY else f"ended with status {status}"
        logger.error("a decoder worker %s; it is replaced, and its image is refused", what)
        self._replace(worker, "crashed")
        return DecoderFailed("the image cannot be decoded, because its decoder crashed on it")
