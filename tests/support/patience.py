"""Bounded waiting for an event in another thread or process."""

import asyncio
from collections.abc import Callable

PATIENCE_S = 10


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 (no event to wait for)
            await asyncio.sleep(0.001)
