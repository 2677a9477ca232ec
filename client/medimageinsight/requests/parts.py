"""Items of a call to the bodies of its requests: bounded in rows and in bytes on the wire."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medimageinsight.errors import Failure, Kind, Refused
from medimageinsight.images import image_bytes

MAX_IMAGES, MAX_TEXTS = 16, 256  # per request: enough for the server's batches, and little to send again
_PAYLOAD_TOO_LARGE = 413


@dataclass(frozen=True)
class Row:
    """One row of a request.

    Args:
        item: number of the item in the call.
        data: the row in JSON, as it is sent.
    """

    item: int
    data: bytes


@dataclass(frozen=True)
class Envelope:
    """What stands around the rows of a body.

    Args:
        head, tail: bytes before and after the rows.
    """

    head: bytes
    tail: bytes

    @classmethod
    def of(cls, kind: Kind, params: Mapping[str, Any]) -> "Envelope":
        """The envelope of requests with one column."""
        mark = "rows"
        document = {"input_data": {"columns": [kind], "data": [mark]}, "params": params}
        head, tail = json.dumps(document).split(f'"{mark}"', 1)  # params may have it too
        return cls(head.encode(), tail.encode())

    def body(self, rows: Sequence[Row]) -> bytes:
        """The body with these rows."""
        return self.head + b",".join(row.data for row in rows) + self.tail

    @property
    def size_bytes(self) -> int:
        """Bytes of the body without rows."""
        return len(self.head) + len(self.tail)


@dataclass(frozen=True)
class PartWriter:
    """Writes the rows of a call and groups them into parts.

    Args:
        kind: kind of all items.
        envelope: what stands around the rows.
        max_rows: rows per part.
        max_body_bytes: bytes per body, with the envelope.
        has_window: True if a `dicom_window` goes with the images.
        is_wanted: says whether anybody still waits for the call. If not, no further item is read.
        on_failure: takes an item that cannot be sent and its exception. It returns if the item is to be left out.
    """

    kind: Kind
    envelope: Envelope
    max_rows: int
    max_body_bytes: int
    has_window: bool
    is_wanted: Callable[[], bool]
    on_failure: Callable[[Failure, Exception], None]

    def parts(self, items: Sequence[Any]) -> Iterator[list[Row]]:
        """The items in order. A part is complete before the next item is read, so that memory stays bounded."""
        rows: list[Row] = []
        room = capacity = self.max_body_bytes - self.envelope.size_bytes + 1  # the first row has no comma before it
        for number, item in enumerate(items):
            if not self.is_wanted():
                return
            row = self._row(number, item, capacity - 1)
            if row is None:
                continue
            size = len(row.data) + 1
            if rows and (len(rows) == self.max_rows or size > room):
                yield rows
                rows, room = [], capacity
            rows.append(row)
            room -= size
        if rows:
            yield rows

    def _row(self, number: int, item: Any, max_bytes: int) -> Row | None:
        try:
            data = json.dumps([self._written(item)]).encode()
        except OSError as error:
            self._fail(number, "unreadable_file", f"the file cannot be read: {error.strerror or error}", error)
            return None
        except (TypeError, ValueError) as error:
            self._fail(number, "unsupported_input", str(error), error)
            return None
        if len(data) <= max_bytes:
            return Row(number, data)
        message = f"it needs {len(data):,} bytes in a request, and the server accepts at most {max_bytes:,}"
        refused = Refused(_PAYLOAD_TOO_LARGE, "body_too_large", message, number, self.kind)
        self._fail(number, "body_too_large", message, refused)
        return None

    def _written(self, item: Any) -> str:
        if self.kind == "image":
            return base64.b64encode(image_bytes(item, has_window=self.has_window)).decode()
        if not isinstance(item, str):
            raise TypeError(f"a text must be a string, not {type(item).__name__}")
        return item

    def _fail(self, number: int, code: str, message: str, error: Exception) -> None:
        self.on_failure(Failure(number, self.kind, code, message), error)
