"""Decompression of request bodies as they arrive, within the bounds on their size."""

import asyncio
import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLarge, ContentTypeUnsupported, RequestInvalid

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEP_BYTES = 2**20  # inflated at most before the size is checked again
MAX_ZSTD_WINDOW_LOG = 27  # 128 MiB, the default limit of the zstd tool
THREAD_BYTES = 16_384  # larger pieces are inflated in a thread
WINDOW_BYTES = 16_384  # read at once, because what follows a member is copied
MAX_RATIO = 1100
"""Inflated bytes per byte received, beyond `FREE_BYTES`. gzip reaches 1,032 at most, zstd 32,768."""
FREE_BYTES = 2**24
"""Bytes that the ratio leaves free. In zstd, 8 MiB of zeros have the ratio 6,554, and 1,024 equal rows 1,208."""
MAX_OVERHEAD = 2
"""Bytes received per inflated byte, beyond `STEP_BYTES`. Empty members and skipped frames only cost time."""


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _GzipMember:
    """zlib's decompressor with the interface of the other decompressors."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)


def _zstd_frame() -> _Inflater:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_ZSTD_WINDOW_LOG})


_STARTS: dict[str, Callable[[], _Inflater]] = {"gzip": _GzipMember, "x-gzip": _GzipMember, "zstd": _zstd_frame}


class _Members:
    """The members of a gzip body (RFC 1952) or the frames of a zstd body (RFC 8878), which make up one body.

    Zeros behind the last member of a gzip body are padding, as for the gzip tool. Nothing else may follow a member but
    another one.
    """

    def __init__(self, encoding: str) -> None:
        self._start = _STARTS[encoding]
        self._inflater: _Inflater | None = self._start()
        self._rest = b""  # not read yet, because the step was full
        self._may_be_padded, self._is_padding = encoding != "zstd", False

    @property
    def are_complete(self) -> bool:
        return self._inflater is None

    @property
    def waiting_bytes(self) -> int:
        return len(self._rest)

    def inflate(self, data: bytes) -> bytes:
        """Inflate the next piece, up to `STEP_BYTES`. After a full step, call it with b"": there may be more.

        Raises:
            RequestInvalid: the data is damaged, or something other than a member follows a member.
        """
        data, position, room = self._rest + data, 0, STEP_BYTES
        parts: list[bytes] = []
        while room:
            if self._inflater is None:
                if self._ends(data, position):
                    position = len(data)
                    break
                self._inflater = self._start()
            piece = data[position : position + WINDOW_BYTES]
            parts.append(_inflated(self._inflater, piece, room))
            position += len(piece)
            room -= len(parts[-1])
            if self._inflater.eof:
                unused, self._inflater = self._inflater.unused_data, None
                if len(unused) > len(piece):  # some of it came earlier
                    data, position = unused + data[position:], 0
                else:
                    position -= len(unused)
            elif position == len(data):
                break
        self._rest = data[position:]
        return b"".join(parts)

    def _ends(self, data: bytes, position: int) -> bool:
        """Whether nothing but padding follows a member."""
        if position == len(data):
            return True
        self._is_padding = self._is_padding or (self._may_be_padded and data[position] == 0)
        if self._is_padding and data[position:].strip(b"\0"):
            raise _not_encoded()
        return self._is_padding


def _inflated(inflater: _Inflater, data: bytes, max_length: int) -> bytes:
    try:
        return inflater.decompress(data, max_length)
    except (zlib.error, zstd.ZstdError) as error:
        raise _not_encoded() from error


def _not_encoded() -> RequestInvalid:
    return RequestInvalid("The body, or a part of it, is not encoded as its header content-encoding says.")


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
        if encoding not in _STARTS:
            raise ContentTypeUnsupported("The content encoding is neither gzip nor zstd; send one of them, or none.")
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in _DROPPED_HEADERS]
        await self._app(scope, _Inflating(receive, _Members(encoding)).receive, send)


_DROPPED_HEADERS = (b"content-encoding", b"content-length")


class _Inflating:
    """The messages of a compressed body, inflated."""

    def __init__(self, receive: Receive, members: _Members) -> None:
        self._receive, self._members = receive, members
        self._received = self._inflated = 0
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
        inflated = await self._inflate(data)
        self._check_sizes(len(data), len(inflated))
        self._is_full = len(inflated) == STEP_BYTES
        more = self._is_full or not self._is_last
        if not more and not self._members.are_complete:
            raise RequestInvalid("The compressed body ends too early.")
        return {"type": "http.request", "body": inflated, "more_body": more}

    async def _inflate(self, data: bytes) -> bytes:
        if len(data) < THREAD_BYTES and not self._is_full:
            return self._members.inflate(data)
        return await asyncio.to_thread(self._members.inflate, data)

    def _check_sizes(self, received: int, inflated: int) -> None:
        self._received += received
        self._inflated += inflated
        if self._inflated > FREE_BYTES + MAX_RATIO * self._received:
            raise BodyTooLarge(
                f"The body inflates to more than {MAX_RATIO:,} times its size, beyond {FREE_BYTES:,} bytes; send it "
                "uncompressed."
            )
        if self._received - self._members.waiting_bytes > STEP_BYTES + MAX_OVERHEAD * self._inflated:
            raise BodyTooLarge(
                f"The body is more than {MAX_OVERHEAD} times as large as what it inflates to; send it uncompressed."
            )
