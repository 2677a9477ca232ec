"""Waiting, in tests, for what happens in another thread or process; never for ever."""

import asyncio
from collections.abc import Callable

PATIENCE_S = 10


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110, there is no event to wait for
            await asyncio.sleep(0.001)
