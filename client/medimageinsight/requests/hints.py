"""Likely causes of a failed connection, in words."""

import re

import httpx2

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://|https?:", re.IGNORECASE)  # not localhost:8000 nor user:password@host
# Up to the last @, because a password may have one; everything behind the scheme if a query may have it; the query.
_SECRETS = re.compile(r"(?<=:)(/*)(?:[^?]*(?=@[^@]*\Z)|.*@.*)|(?<=\?).+", re.DOTALL)


def with_scheme(url: str) -> str:
    """The URL; one without a scheme, such as localhost:8000, gets http://."""
    return url if _SCHEME.match(url) else f"http://{url}"


def without_secrets(url: str) -> str:
    """A URL for a message: `***` replaces user name, password and query."""
    return _SECRETS.sub(r"\1***", url)


def hint_of_url(url: str) -> str | None:
    """What is wrong with a base URL; None if nothing is. Without a part of a password, which a wrong URL may hold."""
    if re.search(r"://.*[/?#].*@", url, re.DOTALL):
        return "the URL has an @ after a /, ? or #; in a user name or password, write these as %2F, %3F and %23"
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        return f"the URL is not valid ({error}); a valid URL is http://localhost:8000"
    if parsed.scheme not in ("http", "https"):
        return f"the URL starts with {parsed.scheme}:, but must start with http:// or https://"
    if not parsed.host:
        return "the URL has no host; a valid URL is http://localhost:8000"
    return "the URL must end before the ?" if parsed.query else None


def hint_of_error(error: httpx2.TransportError, url: httpx2.URL) -> str:
    """The likely cause of a connection error."""
    text = str(error)
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    if isinstance(error, httpx2.ReadTimeout):
        return "the answer did not arrive in time; give the client a larger timeout_s"
    if isinstance(error, httpx2.LocalProtocolError):  # its text has the key
        return "the request cannot be sent; check that the api_key has no line break"
    if isinstance(error, httpx2.TimeoutException):
        return f"the connection to port {port} timed out; check the host and the firewall between here and there"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"the certificate of the server is not trusted here ({text})"
    if "[SSL" in text or "SSL:" in text:
        return "the server does not speak TLS on this port; write http:// instead of https://"
    if isinstance(error, httpx2.ConnectError):
        if "Name or service" in text or "nodename" in text or "getaddrinfo" in text or "resolution" in text:
            return f"the host name {url.host} cannot be resolved"
        return f"the connection failed ({text}); check that the server runs and listens on port {port}"
    if url.scheme == "http":
        return f"the connection broke ({text}); if the server speaks TLS, write https:// instead of http://"
    return f"the connection broke ({text})"


def hint_of_answer(answer: httpx2.Response, url: httpx2.URL) -> str | None:
    """Why an answer is not that of the server; None if it may be."""
    if answer.is_redirect:
        place = without_secrets(answer.headers.get("location", "another URL"))
        return f"it redirects to {place}; use the URL that it redirects to"
    if answer.status_code == httpx2.codes.BAD_REQUEST and b"HTTPS" in answer.content and url.scheme == "http":
        return "the port expects TLS; write https:// instead of http://"
    is_probe = answer.request.method == "GET"  # of /info, which every server has
    if is_probe and answer.status_code in (httpx2.codes.NOT_FOUND, httpx2.codes.METHOD_NOT_ALLOWED):
        asked = without_secrets(str(answer.request.url))
        if url.path.strip("/"):
            return f"{asked} answers {answer.status_code}; the URL must end before {url.path.rstrip('/')}"
        return f"{asked} answers {answer.status_code}; check the host and the port"
    return None
