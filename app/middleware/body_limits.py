"""Bounds on the size of a request body, on its time to arrive, and on the number of requests in flight."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTimeout, BodyTooLarge
from app.inference.admission import Admission
from app.middleware.request_context import RequestContext

MAX_SIZE_DIGITS = 19  # `int` raises ValueError from some thousands of digits on


class BodyLimits:
    """Refuses a body that is too large or too slow, and a request beyond the number allowed in flight.

    Body bytes count as they arrive. The request counts once its body is complete, so that a slow client holds no place.
    The context's held bytes, which include remote images, are released when the request ends.
    """

    def __init__(self, app: ASGIApp, *, admission: Admission, max_body_bytes: int, body_timeout_s: float) -> None:
        self._app, self._admission = app, admission
        self._max_body_bytes, self._body_timeout_s = max_body_bytes, body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and self._is_too_large(declared.lstrip("0")):
            raise self._too_large()
        deadline = asyncio.get_running_loop().time() + self._body_timeout_s
        received_bytes = 0
        held = RequestContext.of(scope).held_bytes
        is_complete = is_in_flight = False

        async def receive_bounded() -> Message:
            nonlocal received_bytes, is_complete, is_in_flight
            if is_complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise BodyTimeout(f"The body did not arrive within {self._body_timeout_s:g} seconds.") from error
            size = len(message.get("body", b""))
            received_bytes += size
            is_complete = not message.get("more_body", False)
            if received_bytes > self._max_body_bytes:
                raise self._too_large()
            held.add(size)
            if is_complete and message["type"] == "http.request":
                self._admission.enter()
                is_in_flight = True
            return message

        try:
            await self._app(scope, receive_bounded, send)
        finally:
            held.release()
            if is_in_flight:
                self._admission.leave()

    def _is_too_large(self, digits: str) -> bool:
        return len(digits) > MAX_SIZE_DIGITS or int(digits or 0) > self._max_body_bytes

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"The body is larger than the {self._max_body_bytes:,} bytes that are allowed; send fewer rows at once."
        )
