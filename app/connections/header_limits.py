"""How large the request line and the headers may be."""

from collections.abc import Sequence

from app.errors import HeaderTooLarge

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADER_FIELDS = 100
_PUNCTUATION_BYTES = 4  # colon, blank, CR and LF


def header_bytes(url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Number of bytes of a URL and of headers as a client usually writes them."""
    return len(url) + sum(len(name) + len(value) + _PUNCTUATION_BYTES for name, value in headers)


def too_large() -> HeaderTooLarge:
    return HeaderTooLarge(
        f"The request line and the headers have more than {MAX_HEADER_BYTES:,} bytes or {MAX_HEADER_FIELDS} fields."
    )
