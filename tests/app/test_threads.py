"""Calls of functions in threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.threads import in_thread


async def test_a_stop_iteration_of_a_thread_ends_the_wait() -> None:
    def stop() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="an iterator ended too early"):
        await in_thread(ThreadPoolExecutor(1), stop)
