"""Request ids, and the one answer to whatever nobody expected."""

import asyncio
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import error_response
from app.errors import NotReady, RequestIdTooLong

LONGEST_ID = 100
_ID_HEADERS = ("x-request-id", "x-ms-request-id", "x-ms-client-request-id")


class RequestIds:
    """Echoes or makes `x-request-id`, as the Azure endpoint does, and keeps it in `scope["state"]["request_id"]`.

    Faults end here: their answer carries the ids too, and the server, whose log quotes messages, never sees them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent = {name: value for name in _ID_HEADERS if (value := headers.get(name))}
        too_long = next((name for name, value in sent.items() if len(value) > LONGEST_ID), None)
        given = {} if too_long else sent
        request_id = given.get("x-request-id") or str(uuid.uuid4())
        client_id = given.get("x-ms-client-request-id")
        scope.setdefault("state", {})["request_id"] = request_id
        is_started = False

        async def send_with_ids(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = request_id
                answer["x-ms-request-id"] = given.get("x-ms-request-id") or client_id or request_id
                if client_id:
                    answer["x-ms-client-request-id"] = client_id
            await send(message)

        app = self._app
        if too_long:
            app = error_response(RequestIdTooLong(f"The header {too_long} is longer than {LONGEST_ID} characters."))
        try:
            await app(scope, receive, send_with_ids)
        except ClientDisconnect:
            return  # before its body was whole: nobody is there to be answered
        except asyncio.CancelledError:  # the time that a stopping server gives those in flight is over
            if not is_started:
                await error_response(NotReady("The service is stopping."))(scope, receive, send_with_ids)
        except Exception as error:  # noqa: BLE001, the one handler of whatever nobody expected
            response = error_response(error, request_id)
            if is_started:
                raise RuntimeError("an answer broke off") from None
            await response(scope, receive, send_with_ids)
