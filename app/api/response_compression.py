"""Compression of large answers with the encodings that a client accepts."""

import asyncio
import sys
import zlib

from app.api.content_negotiation import qualities

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIN_BYTES = 16_384
"""Smaller answers are not compressed."""
_LEVELS = {"zstd": 1, "gzip": 1}


async def compress_body(body: bytes, accept_encoding: str, headers: dict[str, str]) -> bytes:
    """Compress an answer in a thread, if it is large and the client accepts zstd or gzip.

    JSON shrinks to less than half of its size. Binary formats do not shrink and should not be passed here.

    Args:
        body: body of the answer.
        accept_encoding: the request's `Accept-Encoding` header.
        headers: headers of the answer; `vary` and `content-encoding` are set in place.

    Returns:
        The compressed body, or the body itself.
    """
    if len(body) < MIN_BYTES:
        return body
    headers["vary"] = ", ".join(filter(None, (headers.get("vary"), "accept-encoding")))
    accepted = qualities(accept_encoding)
    for encoding, level in _LEVELS.items():
        if accepted.get(encoding, 0.0) > 0:
            headers["content-encoding"] = encoding
            return await asyncio.to_thread(_compress, body, encoding, level)
    return body


def _compress(body: bytes, encoding: str, level: int) -> bytes:
    if encoding == "zstd":
        return zstd.compress(body, level)
    compressor = zlib.compressobj(level, wbits=16 + zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()
