"""Streams of DICOM elements: bounded in steps, and inflated as they are read (PS3.5 A.5)."""

import io
import threading
import zlib
from dataclasses import dataclass

from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.limits import MAX_VOLUME_BYTES

MAX_READS = 300_000  # of a header; an element takes two or three, so that this is nearly a second of CPU time
_PIECE_BYTES, _MAX_INFLATED_PIECE_BYTES = 2**14, 2**20


@dataclass
class StepLimit:
    """How many more steps reading may take. Several streams may have the same limit.

    Args:
        left: the number of steps; negative if reading would take more.
    """

    left: int = MAX_READS


class BoundedStream(io.BytesIO):
    """A stream that ends when its steps are used up; each read is one.

    Args:
        data: the bytes.
        limit: the steps; default: `MAX_READS`.
    """

    def __init__(self, data: bytes | memoryview, limit: StepLimit | None = None) -> None:
        super().__init__(data)
        self._limit, self._size = limit or StepLimit(), len(data)
        self._deflated: Deflated | None = None
        self._lock = threading.Lock()

    @property
    def is_exhausted(self) -> bool:
        return self._limit.left < 0

    def is_behind_end(self) -> bool:
        """Whether the position is behind the last byte."""
        self._fill(self.tell())
        return self.tell() > self._size

    def inflate(self, deflated: memoryview) -> None:
        """Replace the bytes by those of a deflated data set (PS3.5 A.5), which are inflated as they are read."""
        self._deflated, self._size = Deflated(deflated), 0
        self.seek(0)
        self.truncate()

    def load(self) -> bytes:
        """All bytes."""
        with self._lock:
            self._fill(None)
        return self.getvalue()

    def read(self, size: int | None = -1, /) -> bytes:
        self._limit.left -= 1
        if self._limit.left < 0:
            raise EOFError
        self._fill(None if size is None or size < 0 else self.tell() + size)
        return super().read(size)

    def _fill(self, size: int | None) -> None:
        """Inflate the first `size` bytes; None: all."""
        position = self.tell()
        while self._deflated is not None and (size is None or self._size < size):
            piece = self._deflated.read()
            if not piece:
                self._deflated = None
                break
            self.seek(self._size)
            self._size += self.write(piece)
        self.seek(position)


class Deflated:
    """A deflated data set, which has no zlib header. It is inflated in pieces, which are not kept here."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._inflater, self._left = data, zlib.decompressobj(-zlib.MAX_WBITS), MAX_VOLUME_BYTES
        self._place = 0

    def read(self) -> bytes:
        """The next piece; empty at the end.

        Raises:
            ImageDecodeError: the data is damaged.
            ImageTooLarge: it has more than `MAX_VOLUME_BYTES`.
        """
        piece = b""
        while not piece and not self._inflater.eof:
            tail = self._inflater.unconsumed_tail
            read = tail or self._data[self._place : self._place + _PIECE_BYTES]
            self._place += 0 if tail else len(read)
            try:
                piece = self._inflater.decompress(read, _MAX_INFLATED_PIECE_BYTES)
            except zlib.error as error:
                raise ImageDecodeError("the DICOM file is damaged: its deflated data set cannot be inflated") from error
            if not read:
                break
        self._left -= len(piece)
        if self._left < 0:
            raise ImageTooLarge(f"the DICOM file inflates to more than {MAX_VOLUME_BYTES // 2**20} MiB")
        return piece
