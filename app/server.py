"""The uvicorn server in this process: signals, draining and the exit status."""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import NoReturn, cast

import click
import uvicorn
from starlette.types import ASGIApp

from app.connections.connection import Connection
from app.connections.listening import accept_last, free_port_after, ignore_new, listen, page_url, place
from app.connections.open_connections import OpenConnections
from app.environment import variable_of
from app.errors import KeysUnusable
from app.main import create_app
from app.remote_images.allowlist import AllowListInvalid
from app.service import Service
from app.settings import Settings
from app.telemetry.logging_setup import set_up_logging

logger = logging.getLogger("medimageinsight")
EXIT_OK, EXIT_UNCLEAN, EXIT_BAD_START = 0, 1, 2
KEEP_ALIVE_S = 5  # that a connection may be idle between two requests
HANDSHAKE_S = 0.2  # for clients in the middle of the handshake at the stop
CLOSING_S = 2.0  # for the answers after the last request in flight, and again for the clients to read them


class DrainingServer(uvicorn.Server):
    """A server that drains: on the first signal it refuses new requests and answers those in flight.

    A second signal ends the process at once.

    Args:
        app: the application.
        service: the service whose requests are drained.

    Attributes:
        status: exit status of the process; 1 if requests in flight were given up.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        settings = service.settings
        self._open = OpenConnections()
        self._new_connection = partial(Connection, self._open, settings.header_timeout_s)
        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", self._new_connection),
                ws="none",
                log_config=None,
                # Its lines about the start and the stop say what ours say.
                log_level="warning" if settings.log_level == "info" else settings.log_level,
                access_log=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                server_header=False,
            )
        )
        self._service, self._drain_timeout_s = service, settings.drain_timeout_s
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new connections, answer those that exist, and let their clients read the answers."""
        for listening in sockets or []:
            ignore_new(listening)
        await asyncio.sleep(HANDSHAKE_S)  # the servers of the loop accept until then
        accepted = [connection for listening in sockets or [] for connection in accept_last(listening)]
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        await self._serve_accepted(accepted)
        self._open.stopping = True
        for connection in self._connections():
            connection.shutdown()
        await self._closed()
        for task in list(self.server_state.tasks):
            task.cancel()  # middleware answers it with 503
        await self._closed()
        await self.lifespan.shutdown()

    async def _serve_accepted(self, accepted: list[socket.socket]) -> None:
        make = partial(self._new_connection, self.config, self.server_state, self.lifespan.state)
        for connection in accepted:
            with suppress(OSError):  # its client has left
                await asyncio.get_running_loop().connect_accepted_socket(make, connection)

    def _connections(self) -> list[Connection]:
        return cast("list[Connection]", list(self.server_state.connections))

    async def _closed(self) -> None:
        """Wait until all connections are closed, at most `CLOSING_S`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110, as uvicorn does
                    await asyncio.sleep(0.02)

    def _start_draining(self) -> None:
        logger.info("stopping; requests in flight, which are answered first: %d", self._service.admission.requests)
        self._open.stopping = True
        for connection in self._connections():
            connection.close_after_answer()
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._drain_timeout_s):
                await self._service.drained()
        except TimeoutError:
            logger.error(
                "requests were still in flight after %g seconds and are given up; a larger DRAIN_TIMEOUT_S gives them "
                "more time",
                self._drain_timeout_s,
            )
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
    server = DrainingServer(app, service)
    _on_stop_signal(server.handle_exit)
    service.on_failure = lambda: setattr(server, "should_exit", True)
    service.on_unhealthy = lambda: end(EXIT_UNCLEAN)
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        click.echo(f"medimageinsight: {_why_not_listening(settings, error)}", err=True)
        return EXIT_BAD_START
    host, port = listening.getsockname()[:2]
    service.on_ready = partial(_ready, page_url(host, port) + ("" if settings.ui else "/docs"))
    logger.info("listening on http://%s; the model is being loaded", place(host, port))
    if not settings.api_keys.get_secret_value() and settings.api_keys_file is None:
        logger.warning(
            "no API keys are set: every client that reaches %s is answered; API_KEYS or API_KEYS_FILE sets keys",
            settings.host,
        )
    server.run(sockets=[listening])
    return end(EXIT_BAD_START if service.failure else server.status)


def _ready(url: str) -> None:
    # The half million objects that exist by now live as long as the process. Without the freeze, the garbage collector
    # visits them several times per minute under load, and stops every request for 150 ms.
    gc.freeze()
    logger.info("ready: open %s", url)


def _why_not_listening(settings: Settings, error: OSError) -> str:
    """One sentence; if the port is in use, with commands that can be pasted."""
    hint = "choose another --host or --port"
    if error.errno == errno.EADDRINUSE and (port := free_port_after(settings.host, settings.port)):
        hint = f"try `{variable_of('port') or 'PORT'}={port} make run`, or `medimageinsight serve --port {port}`"
    return f"cannot listen on {place(settings.host, settings.port)}: {error.strerror}; {hint}"


def end(status: int) -> NoReturn:
    """End the process without the interpreter's shutdown.

    The shutdown waits for threads, one of which may hang in the device, and aborts if a thread is importing torch.
    """
    logging.shutdown()
    os._exit(status)


def _on_stop_signal(handle: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
