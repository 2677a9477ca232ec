"""Headers that tell browsers to store nothing, to guess no type, and to load pages from this server only."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; worker-src blob:; frame-ancestors 'none'; "
    "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)


class SecurityHeaders:
    """Adds the headers to every response. The page policy keeps ReDoc from fetching its logo from the internet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-content-type-options"] = "nosniff"
                headers["cache-control"] = "no-store"
                if headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault("content-security-policy", PAGE_POLICY)
                    headers["referrer-policy"] = "no-referrer"
                    headers["x-frame-options"] = "DENY"
            await send(message)

        await self._app(scope, receive, send_with_headers)
