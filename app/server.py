"""The uvicorn server in this process: signals, draining and the exit status."""

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

from app.errors import KeysUnusable
from app.main import create_app
from app.remote_images.allowlist import AllowListInvalid
from app.service import Service
from app.settings import Settings
from app.telemetry.logging_setup import set_up_logging

logger = logging.getLogger("medimageinsight")
EXIT_OK, EXIT_UNCLEAN, EXIT_BAD_START = 0, 1, 2
BACKLOG = 2048  # connections that wait to be accepted; the default of uvicorn
CLOSING_S = 2  # for closing the connections after the last request in flight


class DrainingServer(uvicorn.Server):
    """A server that drains: on the first signal it refuses new requests and answers those in flight.

    A second signal ends the process at once.

    Args:
        config: the configuration of uvicorn.
        service: the service whose requests are drained.
        drain_timeout_s: seconds that the requests in flight get.

    Attributes:
        status: exit status of the process; 1 if requests in flight were given up.
    """

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
            logger.warning("a second signal ends the process; the requests in flight are lost")
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
    """Serve until SIGTERM or SIGINT, and answer the requests in flight before returning.

    Returns:
        Exit status: 0 after a clean stop, 1 if requests in flight were given up, 2 if the keys, the URL allow list,
        the address, the port or the model cannot be used. A hanging device or a second signal ends the process with
        status 1 inside this call.
    """
    set_up_logging(settings.log_level, settings.log_format)
    _on_stop_signal(lambda *_: sys.exit(EXIT_OK))
    try:
        app = create_app(settings)
    except (KeysUnusable, AllowListInvalid) as error:
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
    # The half million objects that exist by now live as long as the process. Without the freeze, the garbage collector
    # visits them several times per minute under load, and stops every request for 150 ms.
    service.on_ready = gc.freeze
    service.on_failure = lambda: setattr(server, "should_exit", True)
    service.on_unhealthy = lambda: end(EXIT_UNCLEAN)
    try:
        listening = _listen(settings)
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        click.echo(
            f"medimageinsight: cannot listen on {place}: {error.strerror}; choose another --host or --port", err=True
        )
        return EXIT_BAD_START
    logger.info("listening on http://%s:%d; the model is being loaded", *listening.getsockname()[:2])
    if not settings.api_keys.get_secret_value() and settings.api_keys_file is None:
        logger.warning(
            "no API keys are set: every client that reaches %s is answered; API_KEYS or API_KEYS_FILE sets keys",
            settings.host,
        )
    server.run(sockets=[listening])
    return end(EXIT_BAD_START if service.failure else server.status)


def end(status: int) -> NoReturn:
    """End the process without the interpreter's shutdown.

    The shutdown waits for threads, one of which may hang in the device, and aborts if a thread is importing torch.
    """
    logging.shutdown()
    os._exit(status)


def _listen(settings: Settings) -> socket.socket:
    """A socket that accepts connections: a port that cannot be had is reported before the model is loaded.

    Raises:
        OSError: the address or the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((settings.host, settings.port))
    listening.listen(BACKLOG)
    return listening


def _on_stop_signal(handle: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
