"""The keys that the service accepts."""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import SecretStr

from app.errors import KeysUnusable
from app.settings import Settings

logger = logging.getLogger("medimageinsight")

MAX_FILE_BYTES = 2**20  # the file is read for every request that sends a key
ERROR_EVERY_S = 60.0


class KeyFile:
    """A file of keys, whose changes count from the next request on."""

    def __init__(self, path: Path, setting: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Args:
            path: one key per line, in UTF-8; empty lines and lines that begin with # are skipped.
            setting: name of the setting that names the file, for messages.
            clock: returns seconds, for the distance of error lines in the log.

        Raises:
            KeysUnusable: the file cannot be read, or holds no key.
        """
        self._path, self._setting, self._clock = path, setting, clock
        self._content = b""
        self._digests: list[bytes] = []
        self._reported_at: float | None = None
        self._read()
        if not self._digests:
            raise KeysUnusable(f"the file {path} of {setting} holds no key; write one key per line")
        self._can_change = path.is_file()  # a pipe can be read only once

    def digests(self) -> list[bytes]:
        """The digests of the keys that the file holds now. If it cannot be read, those that it held last."""
        if self._can_change:
            try:
                is_changed = self._read()
                self._reported_at = None
                if is_changed:
                    logger.warning("the keys of %s have changed: %d keys are valid", self._setting, len(self._digests))
            except KeysUnusable as error:
                self._report(error)
        return self._digests

    def _read(self) -> bool:
        """Take the keys of the file; returns whether its content has changed. Times of a file do not tell."""
        where = f"the file {self._path} of {self._setting}"
        try:
            with self._path.open("rb") as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
            if len(content) > MAX_FILE_BYTES:
                raise KeysUnusable(f"{where} is larger than {MAX_FILE_BYTES:,} bytes; write one key per line")
            if content == self._content:
                return False
            lines = {line.strip() for line in content.decode("utf-8-sig").splitlines()}
        except OSError as error:
            raise KeysUnusable(f"{where} cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise KeysUnusable(f"{where} is not UTF-8; write one key per line in this encoding") from error
        self._content = content
        self._digests = [_digest(line.encode()) for line in lines if line and not line.startswith("#")]
        return True

    def _report(self, error: KeysUnusable) -> None:
        now = self._clock()
        if self._reported_at is None or now - self._reported_at >= ERROR_EVERY_S:
            self._reported_at = now
            logger.error("%s; the keys that were read last stay valid", error)


class KeyStore:
    """Accepted keys: those that were given, and those of a file."""

    def __init__(self, keys: Iterable[str], file: KeyFile | None = None) -> None:
        self._given = [_digest(key.encode()) for key in keys]
        self._file = file

    @classmethod
    def of_clients(cls, settings: Settings) -> "KeyStore | None":
        """The keys in API_KEYS and API_KEYS_FILE; None if neither is set, and every request is accepted.

        Raises:
            KeysUnusable: the file cannot be read or holds no key, or API_KEYS holds only commas and spaces, which would
                leave the service open.
        """
        return cls._of(settings.api_keys, settings.api_keys_file, "API_KEYS", "API_KEYS_FILE")

    @classmethod
    def of_metrics(cls, settings: Settings) -> "KeyStore | None":
        """The keys in METRICS_KEY and METRICS_KEY_FILE, which open /metrics only; None if neither is set.

        Raises:
            KeysUnusable: as `of_clients` says.
        """
        return cls._of(settings.metrics_key, settings.metrics_key_file, "METRICS_KEY", "METRICS_KEY_FILE")

    @classmethod
    def _of(cls, secret: SecretStr, path: Path | None, setting: str, file_setting: str) -> "KeyStore | None":
        given = secret.get_secret_value()
        keys = [key.strip() for key in given.split(",") if key.strip()]
        if given and not keys:
            raise KeysUnusable(f"{setting} holds no key; write one or more keys, separated by commas, or unset it")
        file = None if path is None else KeyFile(path, file_setting)
        return cls(keys, file) if keys or file else None

    def accepts(self, key: bytes) -> bool:
        """Whether the key is accepted. The comparison takes the same time for every key."""
        digest = _digest(key)
        known = [*self._given, *(self._file.digests() if self._file else [])]
        return sum(hmac.compare_digest(digest, each) for each in known) > 0


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
