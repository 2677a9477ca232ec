"""An event loop in a background thread, for callers that are not asynchronous."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

CLOSED = "the client is closed; make another one"


class BackgroundLoop:
    """Runs coroutines in a daemon thread, so that a client that nobody closes does not keep the process alive.

    Args:
        at_end: makes a coroutine that is run when the loop is closed.
    """

    def __init__(self, at_end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._at_end = at_end
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._closing = asyncio.Event()
        self._lock = threading.Lock()  # a call that is accepted begins before the loop ends
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="medimageinsight", daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run a coroutine to its end. An interruption, such as Ctrl-C, cancels it and waits until it has ended.

        Args:
            call: makes the coroutine; called in the thread of the loop.

        Raises:
            RuntimeError: the loop is closed, or another thread closed it before the coroutine ended.
        """
        running = _Running(self._loop, call)
        try:
            with self._lock:
                if self._is_closed:
                    running.cancel()
                else:
                    self._loop.call_soon_threadsafe(running.begin)
            if (task := running.ended.result()).cancelled():
                raise RuntimeError(CLOSED)
            return task.result()
        finally:
            if not running.ended.done():
                self._loop.call_soon_threadsafe(running.cancel)
                wait([running.ended])

    def close(self) -> None:
        """Run `at_end`, cancel all other coroutines, and wait for the thread. May be called again."""
        with self._lock:
            self._is_closed = True
            with suppress(RuntimeError):  # the thread has ended
                self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _serve(self) -> None:
        with self._runner:
            self._runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        await self._closing.wait()
        await self._at_end()


class _Running(Generic[Result]):
    """A call on its way through the loop. `ended` gives the task once the task is done."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], Coroutine[Any, Any, Result]]) -> None:
        self._loop, self._call = loop, call
        self._task: asyncio.Task[Result] | None = None
        self.ended: Future[asyncio.Task[Result]] = Future()

    def begin(self) -> None:
        self._task = self._loop.create_task(self._call())
        self._task.add_done_callback(self.ended.set_result)

    def cancel(self) -> None:
        if self._task is None:  # `begin` was not scheduled
            self.ended.set_exception(RuntimeError(CLOSED))
        else:
            self._task.cancel()
