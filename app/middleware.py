"""Pure ASGI middleware: request ids, the bounds on a body's size and time, and pages that fetch nothing elsewhere."""

import asyncio
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.admission import Admission, HeldBytes
from app.errors import BodyTimeout, BodyTooLarge, NotReady, RequestIdTooLong, error_response

LONGEST_ID = 100
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; worker-src blob:; frame-ancestors 'none'; "
    "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)
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


class BrowserPolicy:
    """What browsers are told: keep nothing, guess no type, and load pages from this server only.

    ReDoc would fetch its maker's logo from the internet.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-content-type-options"] = "nosniff"
                headers["cache-control"] = "no-store"
                if headers.get("content-type", "").startswith("text/html"):
                    headers["content-security-policy"] = PAGE_POLICY
                    headers["referrer-policy"] = "no-referrer"
                    headers["x-frame-options"] = "DENY"
            await send(message)

        await self._app(scope, receive, send_with_policy)


class BodyLimits:
    """Refuses a body that is too large, declared or not, one that does not arrive in time, and one too many.

    A body's bytes count as they arrive, and its request counts once it is whole: a slow client holds no place. What the
    request fetches is counted in `scope["state"]["held"]`, and given back with the body's.
    """

    def __init__(self, app: ASGIApp, *, admission: Admission, max_body_bytes: int, body_timeout_s: float) -> None:
        self._app, self._admission = app, admission
        self._max_body_bytes, self._body_timeout_s = max_body_bytes, body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._max_body_bytes:
            await error_response(self._too_large())(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._body_timeout_s
        received = 0
        held = scope.setdefault("state", {})["held"] = HeldBytes(self._admission)
        complete = entered = False

        async def receive_bounded() -> Message:
            nonlocal received, complete, entered
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise BodyTimeout(f"The body did not arrive within {self._body_timeout_s:g} seconds.") from error
            size = len(message.get("body", b""))
            received += size
            complete = not message.get("more_body", False)
            if received > self._max_body_bytes:
                raise self._too_large()
            held.add(size)
            if complete and message["type"] == "http.request":
                self._admission.enter()
                entered = True
            return message

        try:
            await self._app(scope, receive_bounded, send)
        finally:
            held.release()
            if entered:
                self._admission.leave()

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"The body is larger than the {self._max_body_bytes:,} bytes that are allowed; send it in parts."
        )
