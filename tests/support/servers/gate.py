"""A gate before an application: it holds requests until a test lets them pass, in any order."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

PATIENCE_S = 30
TICK_S = 0.005


class Gate:
    """Holds the requests of some paths.

    Args:
        app: the application before which the gate is put; it must not have started.
    """

    def __init__(self, app: FastAPI) -> None:
        self._closed_paths: frozenset[str] = frozenset()
        self._held: list[threading.Event] = []
        app.add_middleware(_BehindGate, gate=self)

    @contextmanager
    def holding(self, *paths: str) -> Iterator[None]:
        """Hold the requests that come during the `with` block; those that are still held then pass."""
        self._closed_paths = frozenset(paths)
        try:
            yield
        finally:
            self._closed_paths = frozenset()
            for event in self._held:
                event.set()
            self._held.clear()

    def wait_for(self, count: int) -> None:
        """Wait until so many requests are held or were let pass since the `with` block began."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self._held) < count:
            assert time.monotonic() < deadline, f"only {len(self._held)} of {count} requests came"
            time.sleep(TICK_S)

    def let_pass(self, number: int) -> None:
        """Let one request pass, counted from 0 since the `with` block began."""
        self._held[number].set()

    async def passed(self, path: str) -> None:
        if path in self._closed_paths:
            event = threading.Event()
            self._held.append(event)
            while not event.is_set():  # noqa: ASYNC110, the test sets it in another thread
                await asyncio.sleep(TICK_S)


class _BehindGate:
    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._gate.passed(scope["path"])
        await self._app(scope, receive, send)
