"""Gzip and bzip2 data of one or several members, inflated within limits of bytes and members.

RFC 1952, section 2.2: a gzip file is a series of members, and its contents are theirs in a row. bgzip, mgzip and
concatenation write several. pbzip2 writes several bzip2 streams, which are called members here too. Zero bytes behind
a member are padding. Other bytes behind the last member are ignored, as gzip and bzip2 do.
"""

import bz2
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.errors import ImageDecodeError

MAX_MEMBERS = 2**16  # 256 MiB are 4,113 members of bgzip; the limit bounds the CPU time of empty members
# gzip inflates at most 1,032 times: a read never gives more than the largest piece, which bounds the memory.
_FIRST_READ_BYTES, _MAX_READ_BYTES, _MAX_PIECE_BYTES = 256, 2**13, 2**24
_PADDING = re.compile(rb"\0*")


@dataclass(frozen=True)
class Compression:
    """A kind of compressed data."""

    name: str  # as in error messages
    magic: bytes  # first bytes of a member
    new_inflater: Callable[[], Any]  # has the methods of `bz2.BZ2Decompressor`, for one member


@dataclass(frozen=True)
class Inflated:
    """What compressed data contains."""

    start: memoryview  # the first bytes of the contents
    size_bytes: int  # of all contents; one more than the limit means: more than the limit


GZIP = Compression("gzip", b"\x1f\x8b", lambda: zlib.decompressobj(16 + zlib.MAX_WBITS))
BZIP2 = Compression("bzip2", b"BZh", bz2.BZ2Decompressor)


def inflate_start(data: bytes | memoryview, compression: Compression, size_bytes: int) -> bytes:
    """The first `size_bytes` bytes of the contents; fewer if there are no more, or if the data is damaged or cut short.

    No more of the data is read than these bytes need.
    """
    start = bytearray()
    try:
        for piece in _pieces(data, compression, size_bytes):
            start += piece
    except (zlib.error, OSError, EOFError, _TooManyMembers):
        pass
    return bytes(start)


def inflate(
    data: bytes | memoryview, compression: Compression, *, max_bytes: int, keep_bytes: int, source: str
) -> Inflated:
    """Inflate all members, and verify their checksums.

    Args:
        data: one or several members.
        compression: `GZIP` or `BZIP2`.
        max_bytes: limit of the contents. Inflating stops one byte behind it.
        keep_bytes: length of `Inflated.start`. The bytes behind it are inflated only to verify them.
        source: what the file is, for the error messages: "NIfTI file".

    Raises:
        ImageDecodeError: the data is damaged or cut short, or has more than `MAX_MEMBERS`.
    """
    # The system gives the memory of these zeros where it is written: a small file may announce a large volume.
    start, size_bytes = np.zeros(keep_bytes, np.uint8).data, 0
    try:
        for piece in _pieces(data, compression, max_bytes + 1):
            kept = piece[: max(0, keep_bytes - size_bytes)]
            start[size_bytes : size_bytes + len(kept)] = kept
            size_bytes += len(piece)
    except EOFError as error:
        raise ImageDecodeError(f"the {source} is cut short: its {compression.name} data has no end") from error
    except (zlib.error, OSError) as error:
        raise ImageDecodeError(f"the {source} is damaged: its {compression.name} data cannot be unpacked") from error
    except _TooManyMembers as error:
        raise ImageDecodeError(
            f"the {source}'s {compression.name} data has more than {MAX_MEMBERS:,} members; compress it as one"
        ) from error
    return Inflated(start[:size_bytes], size_bytes)


class _TooManyMembers(Exception):
    pass


def _pieces(data: bytes | memoryview, compression: Compression, max_bytes: int) -> Iterator[bytes]:
    """Yield the contents in pieces, `max_bytes` in all; EOFError if a member has no end."""
    view, place, left = memoryview(data), 0, max_bytes
    for _ in range(MAX_MEMBERS):
        inflater, read_bytes = compression.new_inflater(), _FIRST_READ_BYTES
        while not inflater.eof:
            needs_input = getattr(inflater, "needs_input", True)  # bzip2 may have more from what it has read
            read = view[place : place + read_bytes] if needs_input else b""
            if needs_input and not read:
                raise EOFError
            piece = inflater.decompress(read, min(left, _MAX_PIECE_BYTES))
            yield piece
            left -= len(piece)
            if not left:
                return
            place += len(read)
            read_bytes = min(2 * read_bytes, _MAX_READ_BYTES)
        # The inflater copies what lies behind its member. Small reads keep these copies small.
        place -= len(inflater.unused_data)
        padding = _PADDING.match(view, place)
        place = padding.end() if padding else place
        if view[place : place + len(compression.magic)] != compression.magic:
            return
    raise _TooManyMembers
