"""Answers to the exceptions of routes and of the middleware further in."""

import asyncio
from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import NotReady
from app.middleware.request_context import RequestContext

Respond = Callable[[Exception, str], ASGIApp]
"""Turns an exception and the request id into a response."""
REFUSAL = "medimageinsight.refusal"
"""Extension of the scope of a request that the server could not read: its entry `error` is the answer."""


class ErrorResponses:
    """Answers every exception, so that the server, whose log quotes messages, never sees one.

    Exceptions of routes arrive here as well as those of middleware: nothing further in answers for itself.
    """

    def __init__(self, app: ASGIApp, respond: Respond) -> None:
        self._app, self._respond = app, respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = RequestContext.of(scope).request_id
        is_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._answer(scope, receive, send_and_note)
        except ClientDisconnect:
            return  # the client left before its body was complete
        except asyncio.CancelledError:  # uvicorn cancels what is still in flight at the end of a shutdown
            if not is_started:
                await self._respond(NotReady("The service is stopping."), request_id)(scope, receive, send)
        except Exception as error:  # noqa: BLE001, the one handler of unexpected exceptions
            response = self._respond(error, request_id)
            if is_started:
                raise RuntimeError("a response broke off") from None
            await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if refusal := scope.get("extensions", {}).get(REFUSAL):
            raise refusal["error"]
        await self._app(scope, receive, send)
