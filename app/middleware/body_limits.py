"""Bounds on the size of a request body, on its time to arrive, and on the number of requests in flight."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import error_response
from app.errors import BodyTimeout, BodyTooLarge
from app.inference.admission import Admission, HeldBytes


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
