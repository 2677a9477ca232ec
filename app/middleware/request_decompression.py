"""Decompression of request bodies as they arrive, within the bounds on their size."""

import asyncio
import sys
import zlib
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ContentTypeUnsupported, RequestInvalid

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEP_BYTES = 2**20  # inflated at most before the size is checked again
MAX_ZSTD_WINDOW_LOG = 27  # 128 MiB, the default limit of the zstd tool
THREAD_BYTES = 16_384  # larger pieces are inflated in a thread


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the interface of the other decompressors."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)


def _inflater(encoding: str) -> _Inflater | None:
    if encoding in ("gzip", "x-gzip"):
        return _Gzip()
    if encoding == "zstd":
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_ZSTD_WINDOW_LOG})
    return None


class RequestDecompression:
    """Decodes a body whose `Content-Encoding` is gzip or zstd.

    The application receives pieces of at most `STEP_BYTES`. Nothing is inflated before the application asks for it, so
    that the bounds further in see the size as it grows.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        encoding = Headers(scope=scope).get("content-encoding", "identity") if scope["type"] == "http" else "identity"
        encoding = encoding.strip().lower()
        if encoding in ("identity", ""):
            await self._app(scope, receive, send)
            return
        inflater = _inflater(encoding)
        if inflater is None:
            raise ContentTypeUnsupported("The content encoding is neither gzip nor zstd; send one of them, or none.")
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in _DROPPED_HEADERS]
        await self._app(scope, _Inflating(receive, inflater).receive, send)


_DROPPED_HEADERS = (b"content-encoding", b"content-length")


class _Inflating:
    """The messages of a compressed body, inflated."""

    def __init__(self, receive: Receive, inflater: _Inflater) -> None:
        self._receive, self._inflater = receive, inflater
        self._is_last = self._is_full = False

    async def receive(self) -> Message:
        data = b""
        if not self._is_full:
            if self._is_last:
                return await self._receive()
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            data, self._is_last = message.get("body", b""), not message.get("more_body", False)
        try:
            inflated = b"" if self._inflater.eof else await self._inflate(data)
        except (zlib.error, zstd.ZstdError) as error:
            raise RequestInvalid("The body is not encoded as its header content-encoding says.") from error
        # After a full step the inflater may hold more data; only the next step tells.
        self._is_full = len(inflated) == STEP_BYTES
        more = self._is_full or not self._is_last
        if not more and not self._inflater.eof:
            raise RequestInvalid("The compressed body ends too early.")
        return {"type": "http.request", "body": inflated, "more_body": more}

    async def _inflate(self, data: bytes) -> bytes:
        if len(data) < THREAD_BYTES and not self._is_full:
            return self._inflater.decompress(data, STEP_BYTES)
        return await asyncio.to_thread(self._inflater.decompress, data, STEP_BYTES)
