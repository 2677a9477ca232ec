"""The API keys that the service accepts."""

import hashlib
import hmac
import logging
from collections.abc import Iterable
from pathlib import Path

from app.errors import KeysUnusable
from app.settings import Settings

logger = logging.getLogger("medimageinsight")


class ApiKeys:
    """Accepted keys. A key file is read again when it changes, so that keys can be rotated without a restart."""

    def __init__(self, keys: Iterable[str], file: Path | None = None) -> None:
        """Take keys, and read those of a file.

        Args:
            keys: accepted for the lifetime of the process.
            file: one key per line; empty lines and lines that begin with # are skipped.

        Raises:
            KeysUnusable: the file cannot be read, or holds no key.
        """
        self._given = [_digest(key.encode()) for key in keys]
        self._file = file
        self._version: tuple[int, int] | None = None
        self._from_file: list[bytes] = []
        if file is not None:
            self._version = _version(file)
            self._from_file = _read(file)

    @classmethod
    def from_settings(cls, settings: Settings) -> "ApiKeys | None":
        """The keys that the settings name; None if they name none, and every request is accepted.

        Raises:
            KeysUnusable: the file cannot be read or holds no key, or API_KEYS holds only commas and spaces, which would
                leave the service open.
        """
        given = settings.api_keys.get_secret_value()
        keys = [key.strip() for key in given.split(",") if key.strip()]
        if given and not keys:
            raise KeysUnusable("API_KEYS holds no key; write one or more keys, separated by commas, or unset it")
        return cls(keys, settings.api_keys_file) if keys or settings.api_keys_file else None

    def accepts(self, key: bytes) -> bool:
        """Whether the key is accepted. The comparison takes the same time for every key."""
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
                logger.info("the API key file was read again: %d keys", len(self._from_file))
        except KeysUnusable as error:
            if self._version is not None:
                logger.warning("%s; the keys read before stay valid", error)
            self._version = None


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _version(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise KeysUnusable(f"the API key file {file} cannot be read ({error.strerror})") from error
    return status.st_mtime_ns, status.st_ino


def _read(file: Path) -> list[bytes]:
    """The digests of the keys in a file."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise KeysUnusable(f"the API key file {file} cannot be read ({type(error).__name__})") from error
    keys = [_digest(line.encode()) for line in lines if line and not line.startswith("#")]
    if not keys:
        raise KeysUnusable(f"the API key file {file} holds no key; write one key per line")
    return keys
