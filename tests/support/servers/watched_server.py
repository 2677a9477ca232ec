"""A server that watches its event loop and its memory: `python -m tests.support.servers.watched_server serve`."""

import asyncio
import time

import psutil
from fastapi import FastAPI

import app.cli.main
import app.server
from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings

TICK_S = 0.001


class Watch:
    """The longest time for which the event loop ran nothing else, and the most memory, since it was last asked."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._task: asyncio.Task[None] | None = None
        self._lag_s, self._bytes = 0.0, 0

    async def answer(self) -> dict[str, float]:
        seen: dict[str, float] = {"lag_s": self._lag_s, "bytes": self._bytes}
        self._lag_s, self._bytes = 0.0, self._process.memory_info().rss
        self._task = self._task or asyncio.create_task(self._watch())
        return seen

    async def _watch(self) -> None:
        while True:
            wall, computed = time.perf_counter(), time.process_time()
            await asyncio.sleep(TICK_S)
            # On a busy machine the process may wait for a CPU: only what it computed itself counts.
            late = min(time.perf_counter() - wall - TICK_S, time.process_time() - computed)
            self._lag_s = max(self._lag_s, late)
            self._bytes = max(self._bytes, self._process.memory_info().rss)


def create_watched_app(settings: Settings | None = None, loaded: LoadedModel | None = None) -> FastAPI:
    application = create_app(settings, loaded)
    application.add_api_route("/watch", Watch().answer)
    return application


if __name__ == "__main__":
    setattr(app.server, "create_app", create_watched_app)  # noqa: B010, the module only imports it
    app.cli.main.main()
