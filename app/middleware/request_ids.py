"""Request ids, as the Azure endpoint echoes or makes them."""

import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import RequestIdTooLong
from app.middleware.error_responses import Respond
from app.middleware.request_context import RequestContext

MAX_ID_LENGTH = 100
_ID_HEADERS = ("x-request-id", "x-ms-request-id", "x-ms-client-request-id")


class RequestIds:
    """Echoes `x-request-id` or makes one, and keeps it in the request's context.

    A longer id than `MAX_ID_LENGTH` is refused with 431 and is not echoed.
    """

    def __init__(self, app: ASGIApp, respond: Respond) -> None:
        self._app, self._respond = app, respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        ids = {name: value for name in _ID_HEADERS if (value := headers.get(name))}
        too_long = next((name for name, value in ids.items() if len(value) > MAX_ID_LENGTH), None)
        if too_long:
            ids = {}
        request_id = ids.get("x-request-id") or str(uuid.uuid4())
        client_id = ids.get("x-ms-client-request-id")
        RequestContext.of(scope).request_id = request_id

        async def send_with_ids(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = request_id
                answer["x-ms-request-id"] = ids.get("x-ms-request-id") or client_id or request_id
                if client_id:
                    answer["x-ms-client-request-id"] = client_id
            await send(message)

        app = self._app
        if too_long:
            error = RequestIdTooLong(f"The header {too_long} is longer than {MAX_ID_LENGTH} characters.")
            app = self._respond(error, request_id)
        await app(scope, receive, send_with_ids)
