"""One client connection: uvicorn's protocol, bounded before any request reaches the application."""

import asyncio
from typing import Any

import httptools
from uvicorn import Config
from uvicorn.server import ServerState

from app.connections.answering import AnsweringProtocol
from app.connections.header_limits import MAX_HEADER_BYTES, MAX_HEADER_FIELDS, header_bytes, too_large
from app.connections.open_connections import OpenConnections
from app.connections.standin_requests import UNPARSED, without_upgrade
from app.errors import HeaderTimeout, HttpInvalid, NotReady, ServiceError
from app.middleware.error_responses import REFUSAL

MAX_PIPELINED = 32
FAREWELL_S = 0.5  # in which a request that is on its way when the server stops still gets its answer
FIRST_FAREWELL_S = 1.0  # the same for the first request of a connection
CLOSING_SILENCE_S = 0.5  # once the server stops


class PipelineFull(Exception):
    """More requests are queued on the connection than are answered; the client has to send the rest again."""


class Connection(AnsweringProtocol):
    """Bounds what a client can send and how long it can wait without a complete request.

    - The request line and the headers are refused beyond `MAX_HEADER_BYTES` or `MAX_HEADER_FIELDS` with 431. The same
      number of bytes bounds what is neither header nor body: chunk extensions, trailers, blank lines.
    - A header that is not complete in time is refused with 408. A silent connection is closed.
    - What is not HTTP is refused with 400. All refusals are answered by the application, in its form.
    - A request to change the protocol is answered as if it did not ask.

    Args:
        connections: the connections of the server.
        header_timeout_s: seconds for a header, from the accepted connection or from the header's first byte.
        config: the configuration of uvicorn.
        server_state: the state of uvicorn's server.
        app_state: the state of the application's lifespan.
    """

    def __init__(
        self,
        connections: OpenConnections,
        header_timeout_s: float,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._open, self._header_timeout_s = connections, header_timeout_s
        self._awaits_header = True  # rather than the rest of a body
        self._pending_bytes = 0  # since the last header, body or request ended
        self._header_timer: asyncio.TimerHandle | None = None
        self._refusal: ServiceError | None = None
        self._reads_no_more = False

    # The connection, as asyncio and uvicorn call it.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._open.opened(self, transport.get_extra_info("socket").fileno())
        self._header_timer = self.loop.call_later(self._header_timeout_s, self._header_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._reads_no_more = True
        self._open.closed(self)
        self._unset_header_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._reads_no_more or self.transport.is_lingering:
            self.transport.discard(len(data))
            return
        self._unset_keepalive_if_required()
        self._pending_bytes += len(data)
        self._parse(data)
        if self.owes_an_answer:
            is_complete = self._awaits_header and not self._pending_bytes
            self.transport.may_receive = self._reads_no_more or not is_complete
            self._note_body()
        elif not self.transport.is_lingering:
            self._wait_for_more(len(data))

    def close_after_answer(self) -> None:
        """Let the answer in flight be the last one."""
        if self.owes_an_answer:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close the connection after its answer, or once no request is on its way."""
        self.transport.silence_s = CLOSING_SILENCE_S
        self.close_after_answer()
        if not self.owes_an_answer:
            self.loop.call_later(FIRST_FAREWELL_S if self.cycle is None else FAREWELL_S, self._close_if_idle)

    def drop(self) -> None:
        self.transport.abort()

    # The request, as the parser calls it.

    def on_message_begin(self) -> None:
        if not self._awaits_header:
            return
        if self._refusal is None and len(self.pipeline) >= MAX_PIPELINED:
            raise PipelineFull
        super().on_message_begin()
        if self._refusal is not None:
            self.scope["extensions"] = {REFUSAL: {"error": self._refusal}}

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._awaits_header:
            return  # a trailer
        if len(self.headers) == MAX_HEADER_FIELDS:
            raise too_large()
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self._awaits_header:
            return
        if self._pending_bytes > MAX_HEADER_BYTES and header_bytes(self.url, self.headers) > MAX_HEADER_BYTES:
            raise too_large()
        super().on_headers_complete()
        self._awaits_header, self._pending_bytes = False, 0
        self._unset_header_timer()
        self._open.idle.pop(self, None)
        if self._open.stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._pending_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # `_parse` goes on with its body
        self._awaits_header, self._pending_bytes = True, 0
        self._open.receiving.pop(self, None)
        if not self.owes_an_answer:
            self.transport.renew()
        super().on_message_complete()

    # The response, as uvicorn calls it.

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.owes_an_answer:
            self.transport.may_receive = True
            self._open.receiving.pop(self, None)
            self._open.idle[self] = None
        else:
            self._note_body()

    # Its own parts.

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                data = b""
            except httptools.HttpParserUpgrade as upgrade:
                self.parser = httptools.HttpRequestParser(self)
                data = without_upgrade(self.headers) + data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._fail(error.__context__)
                return
        if self._pending_bytes > MAX_HEADER_BYTES:
            self._refuse(too_large())

    def _fail(self, cause: BaseException | None) -> None:
        if isinstance(cause, PipelineFull):
            self._reads_no_more = True
            self.cycle.keep_alive = False
        elif isinstance(cause, ServiceError):
            self._refuse(cause)
        else:
            self._refuse(HttpInvalid("The request is not valid HTTP/1.1; send it with a library for HTTP."))

    def _refuse(self, error: ServiceError) -> None:
        """Let the application answer with an error in the place of what cannot be read, and read no more."""
        if self._reads_no_more or self.transport.is_closing():
            return
        self._reads_no_more = True
        if not self._awaits_header and not self._give_up_body():
            self.transport.close()
            return
        self._refusal, self._awaits_header = error, True
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(UNPARSED)

    def _give_up_body(self) -> bool:
        """End a request whose body cannot be read; returns whether an answer can be sent in its place."""
        cycle = self.cycle
        if cycle.response_started:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        self._open.receiving.pop(self, None)
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        else:
            cycle.response_complete = True
        return True

    def _note_body(self) -> None:
        if not self._awaits_header and self.newest_runs:  # else an answer is due whose request is complete
            self._open.receiving[self] = None

    def _wait_for_more(self, size: int) -> None:
        """Limit the wait: no request is in flight, though a header or the body of an answered one may be arriving."""
        if self._awaits_header and self._pending_bytes:
            if self._header_timer is None:
                self._header_timer = self.loop.call_later(self._header_timeout_s, self._header_is_late)
            return
        if not self._awaits_header:
            self.transport.discard(size)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _header_is_late(self) -> None:
        if self._pending_bytes:
            self._refuse(HeaderTimeout(f"The headers did not arrive within {self._header_timeout_s:g} seconds."))
        else:
            self.transport.close()

    def _unset_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _close_if_idle(self) -> None:
        if self.owes_an_answer:
            return
        if self._awaits_header and self._pending_bytes:
            self._refuse(NotReady("The service is stopping."))
        else:
            self.transport.close()
