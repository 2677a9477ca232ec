"""JSON bodies, read in slices as they arrive: no body holds the event loop for long, whatever its size and content.

A parser in C holds the interpreter's lock until it is through: 0.1 s for 64 MB, in a thread or not. Here the strings
are taken out slice by slice. The rest, the skeleton, has a bounded size and is parsed as a whole.
"""

import asyncio
import codecs
import json
from contextlib import suppress
from typing import Any

import orjson
from starlette.requests import Request

from app.api.bodies.json_mistakes import usual_mistake
from app.api.bodies.json_strings import LongString, end_of_string, parsed
from app.api.bodies.slices import slices
from app.api.bodies.smallest_bodies import check_shape, empty_body
from app.errors import BodyTooLarge, RequestInvalid, TooManyRows
from app.settings import Settings

STRUCTURE_BYTES, STRUCTURE_BYTES_PER_ROW = 65_536, 32  # a row of two columns needs 16 at most, and its index
MAX_BLANKS = 2**23
MAX_DEPTH = 64

_BLANKS = b" \t\r\n"


async def read_json(request: Request, settings: Settings) -> Any:
    """Parse the JSON body of a request, and check its shape.

    Args:
        request: the request; its route decides the shape.
        settings: their `max_rows` decides how much structure, all bytes outside of strings, the body may have.

    Raises:
        RequestInvalid: the body is empty, is not JSON, is nested too deep, or has another shape than its route reads;
            the message names the place.
        TooManyRows: the body has more structure than that.
        BodyTooLarge: the body has more than `MAX_BLANKS` blanks outside of strings.
        TextTooLong: a string has more than `MAX_TEXT_BYTES`, and is not ASCII or consists of `\\u` escapes.
    """
    document, route = await _document(request, settings), request.scope["route"].path
    check_shape(document, route)
    return document


async def _document(request: Request, settings: Settings) -> Any:
    pieces = slices(request.stream())
    first = await anext(pieces, b"")
    if not first:
        raise empty_body(request.scope["route"].path)
    second = await anext(pieces, b"")
    if not second and first.count(b"[") + first.count(b"{") <= MAX_DEPTH:
        with suppress(orjson.JSONDecodeError):  # what is wrong, and where, is found below
            return orjson.loads(first)
    body = JsonBody(max_rows=settings.max_rows)
    body.feed(first)
    if not second:
        return body.document()
    body.feed(second)
    async for data in pieces:
        body.feed(data)
    return await asyncio.to_thread(body.document)


class JsonBody:
    """A JSON document that arrives in pieces. In its skeleton, each string is replaced by its number: `{"0": ["1"]}`.

    Args:
        max_rows: the structure of so many rows is allowed.
    """

    def __init__(self, *, max_rows: int) -> None:
        self.size = 0  # bytes of all pieces so far, in UTF-8
        self._max_rows = max_rows
        self._structure = self._blanks = 0
        self._skeleton: list[bytes] = []
        self._strings: list[str | LongString] = []
        self._ends: list[int] = []  # sizes of the body up to the end of each string
        self._long: LongString | None = None  # it began in another piece than it ends
        self._carried = b""  # a backslash whose character has not arrived
        self._decoder: codecs.IncrementalDecoder | None = None  # of a body in UTF-16 or UTF-32, or with a mark

    def feed(self, data: bytes) -> None:
        """Take the next piece. The first one has at least four bytes, if the body has. Raises as `read_json`."""
        if self.size == 0 and (encoding := json.detect_encoding(data[:4])) != "utf-8":
            self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        data, self._carried = self._carried + self._in_utf8(data), b""
        position = 0
        try:
            while position < len(data):
                if self._long is None:
                    position = self._read_structure(data, position)
                else:
                    position = self._read_long(self._long, data, position)
        except orjson.JSONDecodeError as error:
            raise self._not_json(b"".join(self._skeleton[:-1]), error.msg) from None
        self.size += len(data) - len(self._carried)

    def document(self) -> Any:
        """The parsed document, once all pieces are there. Raises RequestInvalid as `read_json`."""
        if self._in_utf8(b"", is_last=True):
            raise RequestInvalid("The body is not JSON: it ends within a character.")
        if not self._skeleton:
            raise RequestInvalid("The body is empty.")
        if self._long is not None:
            raise self._not_json(b"".join(self._skeleton[:-1]), "a string without an end")
        skeleton = b"".join(self._skeleton)
        try:
            tree = parsed(skeleton)
        except orjson.JSONDecodeError as error:
            raise self._not_json(skeleton[: error.pos], error.msg, skeleton[error.pos :]) from None
        return _restored(tree, [string if isinstance(string, str) else string.text() for string in self._strings])

    def _in_utf8(self, data: bytes, *, is_last: bool = False) -> bytes:
        if self._decoder is None:
            return data
        try:
            return self._decoder.decode(data, is_last).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise RequestInvalid("The body is not JSON: its characters are not encoded as its first ones.") from None

    def _read_structure(self, data: bytes, start: int) -> int:
        """Read up to the end of the next string, if it is in this piece; returns where to read on."""
        quote = data.find(b'"', start)
        outside = data[start : quote if quote >= 0 else len(data)]
        structure = len(outside.translate(None, _BLANKS))
        self._structure += structure + 2
        self._blanks += len(outside) - structure
        self._check_structure()
        self._skeleton.append(outside)
        if quote < 0:
            return len(data)
        self._skeleton.append(b'"%d"' % len(self._strings))
        end = end_of_string(data, quote + 1)
        if end < 0:
            self._long = LongString()
            return quote + 1
        self._strings.append(parsed(data[quote:end]))
        self._ends.append(self.size + end)
        return end

    def _read_long(self, string: "LongString", data: bytes, start: int) -> int:
        """Read a string that began in an earlier piece; returns where to read on."""
        end = end_of_string(data, start)
        if end < 0:
            rest = data[start:]
            self._carried = b"\\" if (len(rest) - len(rest.rstrip(b"\\"))) % 2 else b""
            string.add(rest.removesuffix(self._carried))
            return len(data)
        string.close(data[start : end - 1])
        self._strings.append(string)
        self._ends.append(self.size + end)
        self._long = None
        return end

    def _check_structure(self) -> None:
        if self._structure > STRUCTURE_BYTES + STRUCTURE_BYTES_PER_ROW * self._max_rows:
            raise TooManyRows(
                f"The body has more lists, objects, names and numbers than {self._max_rows} rows need, which is the "
                "most that is allowed; send fewer rows at once."
            )
        if self._blanks > MAX_BLANKS:
            raise BodyTooLarge(
                f"The body has more than {MAX_BLANKS:,} blanks and line breaks between its values; leave them out."
            )

    def _not_json(self, before: bytes, reason: str, after: bytes = b"") -> RequestInvalid:
        """The refusal of a body with a fault between the parts `before` and `after` of the skeleton."""
        line_start = before.rfind(b"\n") + 1  # a string has no line breaks
        column = self._size_of(before) - self._size_of(before[:line_start]) + 1
        line = before.count(b"\n") + 1
        reason = usual_mistake(before, after) or ("" if "surrogate" in reason else reason)
        said = f" ({reason})" if reason else ""
        return RequestInvalid(f"The body is not JSON: line {line}, column {column}{said}.")

    def _size_of(self, before: bytes) -> int:
        """Number of bytes of the body that stand for the part `before` of the skeleton."""
        rest, quote, structure = before.rpartition(b'"')
        return len(structure) + (self._ends[int(rest.rpartition(b'"')[2])] if quote else 0)


def _restored(tree: Any, strings: list[str], depth: int = 0) -> Any:
    """A parsed skeleton with its strings."""
    if isinstance(tree, str):
        return strings[int(tree)]
    if not isinstance(tree, list | dict):
        return tree
    if depth == MAX_DEPTH:
        raise RequestInvalid(f"The body is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(tree, list):
        return [_restored(value, strings, depth + 1) for value in tree]
    return {strings[int(name)]: _restored(value, strings, depth + 1) for name, value in tree.items()}
