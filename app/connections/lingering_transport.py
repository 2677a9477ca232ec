"""A transport that reads on after its last answer, so that the answer arrives."""

import asyncio
from typing import Any

SILENCE_S = 2.0  # without a byte in either direction, after the last answer
STALL_S = 30.0  # of a client that does not read its answer
DISCARD_S = 30.0
DISCARDED_BYTES = 256 * 1024 * 1024


class LingeringTransport(asyncio.Transport):
    """Closes a connection in two steps: it ends its own side, and reads and discards until the client ends the other.

    Before that, `watch` cuts a connection whose client does not read.

    A connection that is closed at once while bytes of the client are unread is reset by the kernel, and the reset
    destroys the answer. `SILENCE_S`, `STALL_S`, `DISCARD_S` and `DISCARDED_BYTES` bound what a client can gain from it.

    Args:
        transport: the transport of the connection.
        loop: the loop that it belongs to.

    Attributes:
        silence_s: seconds without a byte in either direction after which a closing connection is cut.
        is_lingering: whether this side of the connection has ended.
        may_receive: whether the client may be sending. If not, the connection is closed in one step.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop = transport, loop
        self.silence_s, self.may_receive = SILENCE_S, True
        self.is_lingering = False
        self.write = transport.write  # type: ignore[method-assign]
        self._discarded_bytes, self._discards_until_s = 0, 0.0
        self._progress = (-1, -1)
        self._silent_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def is_closing(self) -> bool:
        return self.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Send what is buffered, end this side, and discard what arrives until the client ends its side."""
        if self.is_closing():
            return
        if not self.may_receive and not self._transport.get_write_buffer_size():
            self._transport.close()
            return
        self.is_lingering = True
        self._transport.resume_reading()
        try:
            self._transport.write_eof()
        except OSError:  # the client has reset the connection
            self.abort()
            return
        self.watch()

    def abort(self) -> None:
        """Free the connection at once."""
        self.stop_watching()
        self._transport.abort()

    def watch(self) -> None:
        """Cut the connection once it makes no progress: what is written is not read, or the client does not leave."""
        self.stop_watching()
        self._progress, self._silent_s = (-1, -1), 0.0
        self._watch()

    def stop_watching(self) -> None:
        """End the timer: the connection is lost, or its client reads again."""
        if self._timer is not None:
            self._timer.cancel()

    def discard(self, size: int) -> None:
        """Count bytes that nobody reads any more, and cut the connection beyond the bounds.

        Args:
            size: number of the bytes.
        """
        now_s = self._loop.time()
        if not self._discarded_bytes:
            self._discards_until_s = now_s + DISCARD_S
        self._discarded_bytes += size
        if self._discarded_bytes > DISCARDED_BYTES or now_s > self._discards_until_s:
            self.abort()

    def renew(self) -> None:
        """Begin to count anew: the connection goes on with another request."""
        self._discarded_bytes = 0

    def _watch(self) -> None:
        unsent_bytes = self._transport.get_write_buffer_size()
        progress = (self._discarded_bytes, unsent_bytes)
        self._silent_s = self._silent_s + self.silence_s if progress == self._progress else 0.0
        self._progress = progress
        if self._silent_s >= (STALL_S if unsent_bytes else self.silence_s):
            self.abort()
        else:
            self._timer = self._loop.call_later(self.silence_s, self._watch)
