"""Compression of large answers, as a client's `Accept-Encoding` asks for it."""

import asyncio
import sys
import zlib

from app.api.content_negotiation import qualities

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEAST_BYTES = 16_384  # smaller answers are sent as they are
_LEVELS = {"zstd": 1, "gzip": 1}


async def deflated(body: bytes, accept_encoding: str, headers: dict[str, str]) -> bytes:
    """A large answer as a client's `Accept-Encoding` asks for it; `headers` learn of it.

    Vectors as text shrink to less than half; what is binary already does not, and should not come here.
    """
    if len(body) < LEAST_BYTES:
        return body
    headers["vary"] = ", ".join(filter(None, (headers.get("vary"), "accept-encoding")))
    asked = qualities(accept_encoding)
    for encoding, level in _LEVELS.items():
        if asked.get(encoding, 0.0) > 0:
            headers["content-encoding"] = encoding
            return await asyncio.to_thread(_deflate, body, encoding, level)
    return body


def _deflate(body: bytes, encoding: str, level: int) -> bytes:
    if encoding == "zstd":
        return zstd.compress(body, level)
    deflater = zlib.compressobj(level, wbits=16 + zlib.MAX_WBITS)
    return deflater.compress(body) + deflater.flush()
