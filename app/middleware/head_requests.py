"""Answers to HEAD wherever GET is answered."""

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadRequests:
    """Passes HEAD on as GET, so that its headers are those of GET. The server sends no body in answer to HEAD.

    FastAPI's routes answer only the methods that they name, and each of them would be documented.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # a copy: by the original, the server sees that the method is HEAD
        await self._app(scope, receive, send)
