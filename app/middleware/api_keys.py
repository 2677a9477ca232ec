"""API keys: which paths need one, and where a request carries it."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import KeyMissing, KeyWrong
from app.middleware.key_store import KeyStore
from app.settings import Settings

# Orchestrators, which hold no keys, send probes. These answers tell only whether the service is ready.
OPEN_ROUTES = frozenset({"/", "/health", "/health/live", "/health/ready", "/ping"})
METRICS_ROUTE = "/metrics"
# The pages load /openapi.json before their user can enter a key. All of it is public with the code of the service.
DOCUMENTATION_ROUTES = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})
DOCUMENTATION_FILES = "/static-offline-docs/"
# The page at / asks for the key, so its files load without one. All of them are public with the code of the service.
PAGE_FILES = "/web/"


@dataclass(frozen=True)
class Access:
    """The keys that open each path.

    Args:
        clients: keys that open every path; None leaves the service open, except the metrics if these have a key.
        metrics: keys that open the metrics only; None if there are none.
        docs_open: whether the documentation pages need no key.
    """

    clients: KeyStore | None
    metrics: KeyStore | None
    docs_open: bool

    @classmethod
    def from_settings(cls, settings: Settings) -> "Access":
        """The access that the settings describe.

        Raises:
            KeysUnusable: the keys of the settings cannot be used.
        """
        return cls(KeyStore.of_clients(settings), KeyStore.of_metrics(settings), settings.docs_open)

    def needs_key(self, path: str) -> bool:
        """Whether a path is closed without a key."""
        return bool(self.keys_for(path))

    def keys_for(self, path: str) -> list[KeyStore]:
        """The keys that open a path; an empty list if it needs none."""
        is_documentation = path in DOCUMENTATION_ROUTES or path.startswith(DOCUMENTATION_FILES)
        if path in OPEN_ROUTES or path.startswith(PAGE_FILES) or (self.docs_open and is_documentation):
            return []
        candidates = (self.clients, self.metrics) if path == METRICS_ROUTE else (self.clients,)
        return [keys for keys in candidates if keys is not None]


class RequireApiKey:
    """Refuses a request without an accepted key before any of its body is read."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (accepted := self._access.keys_for(scope["path"])):
            key = _key_of(Headers(scope=scope))
            if not key:
                raise KeyMissing("This service needs a key: send Authorization: Bearer KEY, or x-api-key: KEY.")
            if not any(keys.accepts(key) for keys in accepted):
                raise KeyWrong("The key is not one of those that this service accepts.")
        await self._app(scope, receive, send)


def _key_of(headers: Headers) -> bytes:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    key = value if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return key.strip(" \t").encode("latin-1")  # the bytes of the header as they were sent
