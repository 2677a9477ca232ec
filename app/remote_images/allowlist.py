"""Which URLs may stand for an image: the operator's list, and the one strict reading of a URL that it is compared by.

What is fetched is put together from the parts that were read here, so that no second parser can see another host.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urljoin

from app.errors import UrlNotAllowed

LONGEST_URL = 8192  # characters
_MOST_DECODINGS = 3  # of percent signs; no URL that means well needs more than two
_PORTS = {"http": 80, "https": 443}
# No user, no backslash, no control character, nothing beyond ASCII: each of them is read differently somewhere.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^\x00-\x20?#\\\x7f-\U0010ffff]*)?(?P<query>\?[^\x00-\x20#\\\x7f-\U0010ffff]*)?(#.*)?",
    re.IGNORECASE | re.ASCII,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class AllowListUnusable(Exception):
    """URL_ALLOWLIST has an entry that is none; the message says which."""


@dataclass(frozen=True)
class Target:
    """A URL, read; scheme and host are lower case, and an IPv6 address stands without its brackets."""

    scheme: str
    host: str
    port: int
    path: str
    query: str  # with its question mark, or empty

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def joined(self, location: str) -> str:
        """The URL that a redirect from here leads to; raises ValueError if it is none."""
        return urljoin(f"{self.scheme}://{self.authority}{self.path}{self.query}", location)


class AllowList:
    """Hosts, by https alone, and URL prefixes; a prefix ends where a segment of the path does."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Read the entries.

        Raises:
            AllowListUnusable: one is neither a host nor a prefix; names it by its number, counted from 1.
        """
        self._prefixes = [_prefix(number, entry) for number, entry in enumerate(entries, start=1)]

    @classmethod
    def parse(cls, text: str) -> "AllowList | None":
        """The list of a setting, with commas between entries; None for an empty text, which allows nothing.

        Raises:
            AllowListUnusable: see there; also for a text of commas and spaces alone.
        """
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        if text and not entries:
            raise AllowListUnusable("URL_ALLOWLIST holds no entry; write hosts or URL prefixes, or leave it out")
        return cls(entries) if entries else None

    def target(self, url: str) -> Target:
        """Read a URL.

        Raises:
            UrlNotAllowed: it is not a plain one, or no entry has it.
        """
        target = _read(url)
        if target is None:
            raise UrlNotAllowed(
                f"the image's URL is not a plain http or https one of at most {LONGEST_URL:,} ASCII characters, "
                "without a user name and without dots for a folder"
            )
        if not any(_is_within(target, prefix) for prefix in self._prefixes):
            raise UrlNotAllowed("the image's URL, or a redirect of it, is not one that URL_ALLOWLIST names")
        return target


def _prefix(number: int, entry: str) -> Target:
    prefix = _read(entry if "://" in entry else f"https://{entry}")
    if prefix is None or prefix.query or "#" in entry or unquote(prefix.path) != prefix.path:
        raise AllowListUnusable(
            f"URL_ALLOWLIST's entry {number} is neither a host nor a URL prefix; write images.example.org, or "
            "https://images.example.org/public/"
        )
    return prefix


def _read(url: str) -> Target | None:
    """The parts of a URL; None if it is not a plain one."""
    parts = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if parts is None:
        return None
    scheme, path = parts["scheme"].lower(), parts["path"] or "/"
    port = int(parts["port"] or _PORTS[scheme])
    if not 0 < port < 65536 or _leaves_its_folder(path):
        return None
    return Target(scheme, parts["host"].lower().strip("[]"), port, path, parts["query"] or "")


def _leaves_its_folder(path: str) -> bool:
    """Whether a server may find dots for a folder in a path.

    Servers undo percent signs once or more often, overlong UTF-8 among them, take backslashes for slashes, cut off a
    segment's parameters, and pass over control characters and blanks.
    """
    try:
        for _ in range(_MOST_DECODINGS):
            path = unquote(path, errors="strict")
    except UnicodeDecodeError:
        return True
    if unquote(path) != path or _CONTROL.search(path):
        return True
    return any(segment.partition(";")[0].strip() in (".", "..") for segment in re.split(r"[/\\]", path))


def _is_within(target: Target, prefix: Target) -> bool:
    segments = prefix.path.rstrip("/").split("/")
    return (target.scheme, target.host, target.port) == (prefix.scheme, prefix.host, prefix.port) and target.path.split(
        "/"
    )[: len(segments)] == segments
