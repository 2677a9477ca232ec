"""Workers as the pool uses them: a process, or a thread where processes cannot be had."""

import asyncio
import json
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from app.decoding.decoder import Payload, PerformsTasks, Reply, Task
from app.decoding.fork_client import ForkClient
from app.decoding.messages import FORGET, MAX_HEADER_BYTES, MAX_REPLY_BYTES, SIZES, packed, read_reply, task_message

logger = logging.getLogger("medimageinsight")

CHUNK_BYTES = 2**22  # written in one step of the event loop
KEPT_BYTES = 2**22  # of the file in memory between two tasks: memory that is there already costs less time
ENDED_S = 5.0  # for the exit status of a worker whose connection has ended


class WorkerEnded(Exception):
    """The worker ended during a task.

    Args:
        status: its exit status; that of a signal is negative.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the worker ended with status {status}")
        self.status = status


class Worker(Protocol):
    """Performs one task at a time.

    Attributes:
        kept: the key of the file that it keeps open, if it does.
        has_ended: whether it can perform nothing any more.
    """

    kept: object | None

    @property
    def has_ended(self) -> bool: ...

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
    """A worker process, forked when it is created."""

    def __init__(self, client: ForkClient) -> None:
        self._client = client
        self._socket, remote = socket.socketpair()
        self._socket.setblocking(False)
        self._file = _memory_file()
        self._process = client.fork(remote, self._file)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.kept: object | None = None

    @property
    def has_ended(self) -> bool:
        return self._process.ended.done()

    async def perform(self, task: Task, payload: Payload | None) -> Reply:
        """The reply to a task.

        Raises:
            InvalidInput: the worker refuses the image.
            WorkerEnded: the worker ended, or replied with something that is no reply.
        """
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(sock=self._socket)
            reader, writer = self._streams
            message, body = task_message(task, payload)
            await self._write(body)
            writer.write(message)
            header_size, data_size = SIZES.unpack(await reader.readexactly(SIZES.size))
            if header_size > MAX_HEADER_BYTES or data_size > MAX_REPLY_BYTES:
                raise ConnectionError
            header = json.loads(await reader.readexactly(header_size))
            data = os.pread(self._file, data_size, 0)
            if max(len(body), data_size) > KEPT_BYTES:
                os.ftruncate(self._file, 0)
        except (OSError, EOFError, ValueError):
            self.kill()
            await asyncio.wait([self._process.ended], timeout=ENDED_S)
            raise WorkerEnded(self._process.ended.result() if self.has_ended else -signal.SIGKILL) from None
        for line in header["log"]:
            logger.warning("%s", line)
        return read_reply(header, data)

    async def _write(self, body: bytes) -> None:
        view = memoryview(body)
        for place in range(0, len(body), CHUNK_BYTES):
            os.pwrite(self._file, view[place : place + CHUNK_BYTES], place)
            if len(body) > CHUNK_BYTES:
                await asyncio.sleep(0)

    def forget(self) -> None:
        self.kept = None
        if self._streams is not None:
            self._streams[1].write(packed(FORGET))

    def kill(self) -> None:
        self._process.kill()

    def abandon(self, replaced: Callable[[Worker], None]) -> None:
        self.stop()
        replaced(ProcessWorker(self._client))

    def stop(self) -> None:
        self.kill()
        if self._streams is None:
            self._socket.close()
        else:
            self._streams[1].transport.abort()
        os.close(self._file)


class ThreadWorker:
    """A thread. It cannot be ended: a task that nobody waits for keeps it until the task is done."""

    has_ended = False

    def __init__(self, decoder: PerformsTasks) -> None:
        self._decoder = decoder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._call: Future[Reply] | None = None
        self.kept: object | None = None

    async def perform(self, task: Task, payload: Payload | None) -> Reply:
        """The reply to a task. Raises what the decoder raises; InvalidInput if it refuses the image."""

        def perform() -> Reply:
            try:
                return self._decoder.perform(task, payload)
            except StopIteration as error:  # which no future can hold
                raise RuntimeError("an iterator ended too early") from error

        self._call = self._thread.submit(perform)
        return await asyncio.wrap_future(self._call)

    def forget(self) -> None:
        self.kept = None
        self._decoder.forget()

    def kill(self) -> None:
        """Nothing: a thread cannot be ended."""

    def abandon(self, replaced: Callable[[Worker], None]) -> None:
        loop = asyncio.get_running_loop()

        def free() -> None:
            self.forget()
            replaced(self)

        if self._call is not None:
            self._call.add_done_callback(lambda _: loop.call_soon_threadsafe(free))

    def stop(self) -> None:
        """Let the task that runs end the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _memory_file() -> int:
    """Descriptor of a new file without a name, in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("image")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
