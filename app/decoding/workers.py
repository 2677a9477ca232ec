"""Workers as the pool uses them: a process, or a thread where processes cannot be had."""

import asyncio
import json
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from app.decoding.decoder import Payload, PerformsTasks, Reply, Task
from app.decoding.fork_client import ForkClient, ForkedProcess
from app.decoding.messages import FORGET, MAX_HEADER_BYTES, MAX_REPLY_BYTES, SIZES, packed, read_reply, task_message
from app.threads import in_thread
from model.errors import InvalidInput

logger = logging.getLogger("medimageinsight")

CHUNK_BYTES = 2**22  # written in one step of the event loop
KEPT_BYTES = 2**22  # of the file in memory between two tasks: memory that is there already costs less time
NO_REPLY = 256  # no exit status of a process
ENDED_S = 5.0  # for the exit status of a worker whose connection has ended


class WorkerEnded(Exception):
    """The worker ended during a task.

    Args:
        status: its exit status; that of a signal is negative. `NO_REPLY` if it sent something that is no reply.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the worker ended with status {status}")
        self.status = status


class Worker(Protocol):
    """Performs one task at a time.

    Attributes:
        kept: the key of the file that it keeps open, if it does.
        can_be_ended: whether `kill` has an effect.
    """

    kept: object | None
    can_be_ended: bool

    @property
    def has_ended(self) -> bool:
        """Whether it can perform nothing any more."""
        ...

    async def perform(self, task: Task, payload: Payload | None) -> Reply: ...

    def forget(self) -> None:
        """Close the file that is kept open; the worker must be free."""
        ...

    def kill(self) -> None:
        """End the worker. The task that it performs raises WorkerEnded."""
        ...

    def abandon(self, replaced: Callable[["Worker"], None]) -> None:
        """End the task that nobody waits for; `replaced` is called with the worker that is free then."""
        ...

    def stop(self) -> None:
        """End the worker for good."""
        ...


class ProcessWorker:
    """A worker process, forked when it is created. Without handles or memory for it, it has ended already."""

    can_be_ended = True

    def __init__(self, client: ForkClient) -> None:
        self._client = client
        self._process: ForkedProcess | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._file: int | None = None
        self.kept: object | None = None
        try:
            self._socket, remote = socket.socketpair()
        except OSError:
            return
        self._socket.setblocking(False)
        try:
            self._file = _memory_file()
        except OSError:
            self._socket.close()
            remote.close()
            return
        self._process = client.fork(remote, self._file)

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.ended.done()

    async def perform(self, task: Task, payload: Payload | None) -> Reply:
        """The reply to a task.

        Raises:
            InvalidInput: the worker refuses the image.
            WorkerEnded: the worker ended, or sent something that is no reply.
        """
        try:
            answer, log = await self._answer_to(task, payload)
        except (OSError, EOFError):
            raise WorkerEnded(await self._status()) from None
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
            raise WorkerEnded(NO_REPLY) from None
        for line in log:
            logger.warning("%s", line)
        if isinstance(answer, InvalidInput):
            raise answer
        return answer

    async def _answer_to(self, task: Task, payload: Payload | None) -> tuple[Reply | InvalidInput, list[str]]:
        self._open_file()
        if self._streams is None:
            self._streams = await asyncio.open_connection(sock=self._socket)
        reader, writer = self._streams
        message, body = task_message(task, payload)
        await self._write(body)
        writer.write(message)
        header_size, data_size = SIZES.unpack(await reader.readexactly(SIZES.size))
        if header_size > MAX_HEADER_BYTES or data_size > MAX_REPLY_BYTES:
            raise ValueError("the reply is too large")
        header = json.loads(await reader.readexactly(header_size))
        file = self._open_file()
        data = os.pread(file, data_size, 0)
        if max(len(body), data_size) > KEPT_BYTES:
            os.ftruncate(file, 0)
        return read_reply(header, data, task)

    async def _write(self, body: bytes) -> None:
        view, place = memoryview(body), 0
        while place < len(body):
            place += os.pwrite(self._open_file(), view[place : place + CHUNK_BYTES], place)
            if len(body) > CHUNK_BYTES:
                await asyncio.sleep(0)

    def _open_file(self) -> int:
        """The descriptor of the file. Raises ConnectionError if the worker has no file, or was stopped meanwhile."""
        if self._file is None:
            raise ConnectionError
        return self._file

    async def _status(self) -> int:
        """The exit status of a process whose connection has ended."""
        if self._process is None:
            return -signal.SIGKILL
        self.kill()
        await asyncio.wait([self._process.ended], timeout=ENDED_S)
        return self._process.ended.result() if self._process.ended.done() else -signal.SIGKILL

    def forget(self) -> None:
        self.kept = None
        if self._streams is not None:
            self._streams[1].write(packed(FORGET))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def abandon(self, replaced: Callable[[Worker], None]) -> None:
        self.stop()
        replaced(ProcessWorker(self._client))

    def stop(self) -> None:
        if self._file is None:
            return
        self.kill()
        if self._streams is None:
            self._socket.close()
        else:
            self._streams[1].transport.abort()
        os.close(self._file)
        self._file = None


class ThreadWorker:
    """A thread. It cannot be ended: a task that nobody waits for keeps it until the task is done."""

    can_be_ended = has_ended = False

    def __init__(self, decoder: PerformsTasks) -> None:
        self._decoder = decoder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self.kept: object | None = None

    async def perform(self, task: Task, payload: Payload | None) -> Reply:
        """The reply to a task. Raises what the decoder raises; InvalidInput if it refuses the image."""
        return await in_thread(self._thread, lambda: self._decoder.perform(task, payload))

    def forget(self) -> None:
        self.kept = None
        self._decoder.forget()

    def kill(self) -> None:
        """Nothing: a thread cannot be ended."""

    def abandon(self, replaced: Callable[[Worker], None]) -> None:
        def free() -> None:
            self.forget()
            replaced(self)

        self._thread.submit(asyncio.get_running_loop().call_soon_threadsafe, free)  # after the task that runs

    def stop(self) -> None:
        """Let the task that runs end the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _memory_file() -> int:
    """Descriptor of a new file without a name, in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("image")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
