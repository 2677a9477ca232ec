"""API keys: which routes need one, and where a request carries it."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import KeyMissing, KeyWrong
from app.middleware.key_store import ApiKeys

# Orchestrators, which hold no keys, send probes. These answers tell only whether the service is ready.
# All other routes, those of the documentation and the metrics too, tell something about the installation.
OPEN_ROUTES = frozenset({"/", "/health", "/health/live", "/health/ready", "/ping"})


class RequireApiKey:
    """Refuses a request without an accepted key before any of its body is read."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_ROUTES:
            key = _key_of(Headers(scope=scope))
            if not key:
                raise KeyMissing("This service needs a key: send Authorization: Bearer KEY, or x-api-key: KEY.")
            if not self._keys.accepts(key):
                raise KeyWrong("The key is not one of those that this service accepts.")
        await self._app(scope, receive, send)


def _key_of(headers: Headers) -> bytes:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    key = value if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return key.strip().encode("latin-1")  # the bytes of the header as they were sent
