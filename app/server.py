"""Runs the application under uvicorn in this very process, and turns its end into an exit status."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import click
import uvicorn

from app.main import create_app
from app.middleware.api_keys import KeysUnusable
from app.remote_images.allowlist import AllowListUnusable
from app.service import Service
from app.settings import Settings
from app.telemetry.logging_setup import set_up_logging

logger = logging.getLogger("medimageinsight")
EXIT_OK, EXIT_UNCLEAN, EXIT_BAD_START = 0, 1, 2
BACKLOG = 2048  # connections that wait to be accepted, as uvicorn's default
CLOSING_S = 2  # for connections to be closed once nothing is in flight


class DrainingServer(uvicorn.Server):
    """On the first signal new requests are refused and those in the house answered; a second one ends at once."""

    def __init__(self, config: uvicorn.Config, service: Service, drain_timeout_s: float) -> None:
        super().__init__(config)
        self._service, self._drain_timeout_s = service, drain_timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None
        self.status = EXIT_OK

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002, uvicorn's names
        if self._service.stopping:
            logger.warning("stopped by a second signal; requests in flight are lost")
            end(EXIT_UNCLEAN)
        self._service.stopping = True
        if self._loop is None:
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._start_draining)

    def _start_draining(self) -> None:
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._drain_timeout_s):
                await self._service.drained()
        except TimeoutError:
            logger.error("requests were still in flight after %g seconds; they are given up", self._drain_timeout_s)
            self.status = EXIT_UNCLEAN
            self._service.give_up()
        self.should_exit = True


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; requests in flight are finished.

    Returns:
        0 after a clean stop; 1 when requests in flight had to be given up; 2 when the model could not be loaded or the
        port not be bound. A device that hangs, and a second signal, end the process with 1 from within.
    """
    set_up_logging(settings.log_level, settings.log_format)
    _on_stop_signal(lambda *_: sys.exit(EXIT_OK))
    try:
        app = create_app(settings)
    except (KeysUnusable, AllowListUnusable) as error:
        click.echo(f"medimageinsight: {error}", err=True)
        return EXIT_BAD_START
    service: Service = app.state.service
    server = DrainingServer(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            log_level=settings.log_level,
            access_log=False,
            timeout_graceful_shutdown=CLOSING_S,
            server_header=False,
        ),
        service,
        settings.drain_timeout_s,
    )
    _on_stop_signal(server.handle_exit)
    # What is there by now lives as long as the process. The garbage collector's walks over its half million objects
    # would stop every request for 150 ms, several times a minute under load.
    service.on_ready = gc.freeze
    service.on_failure = lambda: setattr(server, "should_exit", True)
    service.on_unhealthy = lambda: end(EXIT_UNCLEAN)
    try:
        listening = _listen(settings)
    except OSError as error:
        click.echo(f"medimageinsight: cannot listen on {settings.host}:{settings.port}: {error.strerror}", err=True)
        return EXIT_BAD_START
    logger.info("listening on http://%s:%d; the model is being loaded", *listening.getsockname()[:2])
    if not settings.api_keys.get_secret_value() and settings.api_keys_file is None:
        logger.warning("no API_KEYS are set: whoever reaches %s may ask", settings.host)
    server.run(sockets=[listening])
    return end(EXIT_BAD_START if service.failure else server.status)


def end(status: int) -> NoReturn:
    """End the process without the interpreter's own end.

    That waits for threads, of which one may hang in the device, and aborts in threads that import torch meanwhile.
    """
    logging.shutdown()
    os._exit(status)


def _listen(settings: Settings) -> socket.socket:
    """A bound socket: the port answers, or is refused, before the model is touched."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((settings.host, settings.port))
    listening.listen(BACKLOG)
    return listening


def _on_stop_signal(handle: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
