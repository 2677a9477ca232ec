"""Runs the application under uvicorn in this very process, and turns its end into an exit status."""

import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

import click
import uvicorn

from app.main import create_app
from app.settings import Settings

logger = logging.getLogger("medimageinsight")
EXIT_OK, EXIT_BAD_START = 0, 2
BACKLOG = 2048  # connections that wait to be accepted, as uvicorn's default


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; requests in flight are finished.

    Returns:
        0 after a clean stop, 2 when the model could not be loaded or the port not be bound.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for noisy in (
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "PIL",
        "filelock",
        "urllib3",
        "python_multipart",
        "asyncio",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    _on_stop_signal(lambda: sys.exit(EXIT_OK))
    app = create_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            log_level=settings.log_level,
            access_log=False,
            timeout_graceful_shutdown=math.ceil(settings.drain_timeout_s),
            server_header=False,
        )
    )
    # uvicorn ends cleanly on the signals too, and then raises them again for the handler that was there before.
    _on_stop_signal(lambda: setattr(server, "should_exit", True))
    service = app.state.service
    service.on_failure = lambda: setattr(server, "should_exit", True)
    try:
        listening = _listen(settings)
    except OSError as error:
        click.echo(f"medimageinsight: cannot listen on {settings.host}:{settings.port}: {error.strerror}", err=True)
        return EXIT_BAD_START
    logger.info("listening on http://%s:%d; the model is being loaded", *listening.getsockname()[:2])
    server.run(sockets=[listening])
    status = EXIT_BAD_START if service.failure else EXIT_OK
    if any(thread.daemon for thread in threading.enumerate()):
        # Such a thread is inside torch, importing it or loading: stopped there by the interpreter's end, it aborts.
        logging.shutdown()
        os._exit(status)
    return status


def _listen(settings: Settings) -> socket.socket:
    """A bound socket: the port answers, or is refused, before the model is touched."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((settings.host, settings.port))
    listening.listen(BACKLOG)
    return listening


def _on_stop_signal(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
