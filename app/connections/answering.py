"""uvicorn's protocol, for clients that do not read their answers and clients that leave before them."""

import asyncio
from functools import partial

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.connections.expectation import answer_expecting
from app.connections.lingering_transport import LingeringTransport


class AnsweringProtocol(HttpToolsProtocol):
    """Ends the request of a client that is gone, and frees what a connection keeps for it.

    - A client that takes nothing of its answers for the transport's `STALL_S` is cut.
    - Once the connection is lost, the running request is told so, and those behind it never run. uvicorn tells only
      the newest request, which is another one if requests are pipelined.
    - The part of a body that nobody read is freed with the answer, and the timer of an idle connection with its loss.
    """

    transport: LingeringTransport
    _running: RequestResponseCycle | None = None

    @property
    def owes_an_answer(self) -> bool:
        """Whether a request is being answered, or its body is arriving."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def newest_runs(self) -> bool:
        """Whether no other request is before the newest one."""
        return self._running is self.cycle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(LingeringTransport(transport, self.loop))

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport.stop_watching()
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_lingering:
            self.transport.stop_watching()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.owes_an_answer:
            self.cycle.body = bytearray()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        self._running = cycle
        if cycle.waiting_for_100_continue:
            app = partial(answer_expecting, cycle, app)
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]
