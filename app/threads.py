"""Calls of functions in threads, awaited on the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Value = TypeVar("Value")


async def in_thread(executor: ThreadPoolExecutor, function: Callable[[], Value]) -> Value:
    """Run a function in a pool.

    A StopIteration is raised as a RuntimeError: no future can hold it, and on Python 3.11 the wait would never end.
    """

    def call() -> Value:
        try:
            return function()
        except StopIteration as error:
            raise RuntimeError("an iterator ended too early") from error

    return await asyncio.get_running_loop().run_in_executor(executor, call)
