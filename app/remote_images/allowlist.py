"""The operator's list of allowed URLs (URL_ALLOWLIST), and the strict URL parser that it relies on.

The fetcher builds its requests from the parts that are parsed here. A second parser could read another host from the
same text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urljoin

from app.errors import UrlNotAllowed

MAX_URL_CHARS = 8192
_MAX_PERCENT_DECODINGS = 3  # an honest URL needs at most two
_DEFAULT_PORTS = {"http": 80, "https": 443}
# No user name, backslash, control character or character outside ASCII: URL parsers disagree about each of them.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^\x00-\x20?#\\\x7f-\U0010ffff]*)?(?P<query>\?[^\x00-\x20#\\\x7f-\U0010ffff]*)?(#.*)?",
    re.IGNORECASE | re.ASCII,
)
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class AllowListInvalid(Exception):
    """URL_ALLOWLIST is invalid; the message names the entry by its number."""


@dataclass(frozen=True)
class Target:
    """A parsed URL. Scheme and host are in lower case; an IPv6 address has no brackets."""

    scheme: str
    host: str
    port: int
    path: str
    query: str  # with its question mark; empty without a query

    @property
    def authority(self) -> str:
        """Value of the Host header: the host, and the port unless it is the default port of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def redirect_url(self, location: str) -> str:
        """The URL that a `Location` header means; it may be relative to this URL.

        Raises:
            ValueError: the location is not a URL.
        """
        return urljoin(f"{self.scheme}://{self.authority}{self.path}{self.query}", location)


class AllowList:
    """Hosts and URL prefixes whose images may be fetched.

    A host without a scheme allows only https. A prefix matches whole segments of the path: `/public` allows
    `/public/a`, but not `/publicity`.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        """Parse the entries.

        Raises:
            AllowListInvalid: an entry is neither a host nor a URL prefix; the message has its number, counted from 1.
        """
        self._prefixes = [_prefix(number, entry) for number, entry in enumerate(entries, start=1)]

    @classmethod
    def parse(cls, text: str) -> "AllowList | None":
        """Parse a setting whose entries are separated by commas.

        Returns:
            The list; None for an empty text, which allows nothing.

        Raises:
            AllowListInvalid: an entry is neither a host nor a URL prefix, or the text holds only commas and spaces.
        """
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        if text and not entries:
            raise AllowListInvalid("URL_ALLOWLIST holds no entry; give hosts or URL prefixes, or leave it out")
        return cls(entries) if entries else None

    def target(self, url: str) -> Target:
        """Parse a URL and check it against the list.

        Raises:
            UrlNotAllowed: the URL is not plain, or no entry allows it.
        """
        target = _parse_url(url)
        if target is None:
            raise UrlNotAllowed(
                f"the URL of the image must be a plain http or https URL of at most {MAX_URL_CHARS:,} ASCII "
                "characters, without a user name and without . or .. in its path"
            )
        if not any(_is_within(target, prefix) for prefix in self._prefixes):
            raise UrlNotAllowed("the URL of the image, or its redirect, is not in URL_ALLOWLIST")
        return target


def _prefix(number: int, entry: str) -> Target:
    prefix = _parse_url(entry if "://" in entry else f"https://{entry}")
    if prefix is None or prefix.query or "#" in entry or unquote(prefix.path) != prefix.path:
        raise AllowListInvalid(
            f"entry {number} of URL_ALLOWLIST is neither a host nor a URL prefix; examples: images.example.org, "
            "https://images.example.org/public/"
        )
    return prefix


def _parse_url(url: str) -> Target | None:
    """The parts of a URL; None if it is not plain."""
    parts = _URL.fullmatch(url) if len(url) <= MAX_URL_CHARS else None
    if parts is None:
        return None
    scheme, path = parts["scheme"].lower(), parts["path"] or "/"
    port = int(parts["port"] or _DEFAULT_PORTS[scheme])
    if not 0 < port < 65536 or _may_leave_folder(path):
        return None
    return Target(scheme, parts["host"].lower().strip("[]"), port, path, parts["query"] or "")


def _may_leave_folder(path: str) -> bool:
    """Whether a server may find `.` or `..` as a segment of a path, and so leave the allowed prefix.

    Servers decode percent signs once or several times, and some accept overlong UTF-8. They read backslashes as
    slashes, cut off the parameters of a segment, and ignore control characters and spaces.
    """
    try:
        for _ in range(_MAX_PERCENT_DECODINGS):
            path = unquote(path, errors="strict")
    except UnicodeDecodeError:
        return True
    if unquote(path) != path or _CONTROL_CHARACTER.search(path):
        return True
    return any(segment.partition(";")[0].strip() in (".", "..") for segment in re.split(r"[/\\]", path))


def _is_within(target: Target, prefix: Target) -> bool:
    segments = prefix.path.rstrip("/").split("/")
    return (target.scheme, target.host, target.port) == (prefix.scheme, prefix.host, prefix.port) and target.path.split(
        "/"
    )[: len(segments)] == segments
