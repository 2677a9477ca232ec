"""A request body in slices, between which other requests get their turn."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable

SLICE_BYTES = 16_384
MAX_TURN_S = 0.005


async def slices(stream: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """The chunks of a stream as pieces of `SLICE_BYTES`, the last of which may be shorter.

    Whoever reads them may compute on each: after `MAX_TURN_S` the event loop runs what else waits.
    """
    clock = asyncio.get_running_loop().time
    began, waiting = clock(), bytearray()
    async for chunk in stream:
        waiting += chunk
        while len(waiting) >= SLICE_BYTES:
            piece = bytes(memoryview(waiting)[:SLICE_BYTES])
            del waiting[:SLICE_BYTES]
            yield piece
            if clock() - began > MAX_TURN_S:
                await asyncio.sleep(0)
                began = clock()
    if waiting:
        yield bytes(waiting)
