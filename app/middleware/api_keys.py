"""Who may ask: API keys, and which routes need none."""

import hashlib
import hmac
import logging
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.error_handlers import error_response
from app.errors import KeyMissing, KeyWrong
from app.settings import Settings

logger = logging.getLogger("medimageinsight")

# Probes come from orchestrators, which hold no keys, and learn nothing from these answers but whether the service is
# ready. All other routes, the documentation's and the metrics' too, tell something about the installation.
OPEN_ROUTES = frozenset({"/", "/health", "/health/live", "/health/ready", "/ping"})


class KeysUnusable(Exception):
    """The keys cannot be read, or there are none among what was given; the message names the file or the variable."""


class ApiKeys:
    """The keys that are accepted; those of a file are read again when it changes, so that they can be rotated."""

    def __init__(self, keys: Iterable[str], file: Path | None = None) -> None:
        """Take keys, and read the file's.

        Raises:
            KeysUnusable: see there.
        """
        self._given = [_digest(key.encode()) for key in keys]
        self._file = file
        self._version: tuple[int, int] | None = None
        self._from_file: list[bytes] = []
        if file is not None:
            self._version = _version(file)
            self._from_file = _read(file)

    @classmethod
    def of(cls, settings: Settings) -> "ApiKeys | None":
        """The settings' keys; None when there are none, and everybody may ask.

        Raises:
            KeysUnusable: see there; also for keys that are only commas and spaces, which would leave the door open.
        """
        given = settings.api_keys.get_secret_value()
        keys = [key.strip() for key in given.split(",") if key.strip()]
        if given and not keys:
            raise KeysUnusable("API_KEYS holds no key; write one or more, with commas between, or leave it out")
        return cls(keys, settings.api_keys_file) if keys or settings.api_keys_file else None

    def accepts(self, key: bytes) -> bool:
        """Whether this is one of the keys; takes as long for a key that is nearly right as for any other."""
        self._read_again()
        digest = _digest(key)
        return sum(hmac.compare_digest(digest, known) for known in [*self._given, *self._from_file]) > 0

    def _read_again(self) -> None:
        if self._file is None:
            return
        try:
            version = _version(self._file)
            if version != self._version:
                self._version, self._from_file = version, _read(self._file)
                logger.info("the API keys were read again: %d", len(self._from_file))
        except KeysUnusable as error:
            if self._version is not None:
                logger.warning("%s; the keys read before stay in force", error)
            self._version = None


class RequireApiKey:
    """Refuses requests without a key before anything of their body is read."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and scope["path"] not in OPEN_ROUTES:
            key = _key_of(Headers(scope=scope))
            if not key:
                app = error_response(KeyMissing("A key is needed: send Authorization: Bearer KEY, or x-api-key: KEY."))
            elif not self._keys.accepts(key):
                app = error_response(KeyWrong("The key is not one of those that this service accepts."))
        await app(scope, receive, send)


def _key_of(headers: Headers) -> bytes:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    key = value if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return key.strip().encode("latin-1")  # the header's own bytes


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _version(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise KeysUnusable(f"the file of API keys {file} cannot be read ({error.strerror})") from error
    return status.st_mtime_ns, status.st_ino


def _read(file: Path) -> list[bytes]:
    """The digests of a file's keys: one a line; empty lines and those that begin with # are left out."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise KeysUnusable(f"the file of API keys {file} cannot be read ({type(error).__name__})") from error
    keys = [_digest(line.encode()) for line in lines if line and not line.startswith("#")]
    if not keys:
        raise KeysUnusable(f"the file of API keys {file} holds none; write one a line")
    return keys
