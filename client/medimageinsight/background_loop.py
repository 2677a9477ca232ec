"""An event loop in a background thread, for callers that are not asynchronous."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class BackgroundLoop:
    """Runs coroutines in a daemon thread, so that a client that nobody closes does not keep the process alive."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="medimageinsight", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end; an interruption, such as Ctrl-C, cancels it.

        Raises:
            RuntimeError: the loop is closed.
        """
        if self._loop.is_closed():
            coroutine.close()
            raise RuntimeError("the client is closed; make another one")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # no effect on a finished one

    def close(self) -> None:
        """Stop the thread; a second call does nothing."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @property
    def is_closed(self) -> bool:
        """True after `close`."""
        return self._loop.is_closed()
