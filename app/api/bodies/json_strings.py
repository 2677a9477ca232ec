"""Strings of a JSON body that arrives in pieces."""

import json
import re
from typing import Any

import orjson

from app.api.bodies.slices import SLICE_BYTES
from app.errors import TextTooLong

MAX_TEXT_BYTES = 2**22
"""Largest size of a string that cannot be base64: `\\u` escapes that follow each other closely are decoded at once."""

# Behind it a string can be cut: no character and no escape, nor the escapes of a surrogate pair, are divided.
_PLAIN = re.compile(rb"[^\\]{12}(?=[^\x80-\xbf])")
_PLAIN_WITHIN = 64
# ASCII without `\u`: a piece of it begins and ends between characters, if the pieces before it do.
_SHORT_ESCAPES = re.compile(rb'(?:[^\\\x80-\xff]|\\["\\/bfnrt])*+')
_REST_OF_STRING = re.compile(rb'(?:[^"\\]|\\.)*+"', re.DOTALL)
_PARTS_AT_ONCE = 2048  # 32 MiB: glibc enlarges blocks of this size without a copy, and copies smaller ones each time


class LongString:
    """A string that arrives in pieces: its decoded parts, and bytes that may end within an escape or a character."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._raw: list[bytes] = []
        self._size = self._raw_size = 0
        self._is_ascii = True

    def add(self, raw: bytes) -> None:
        """Take the next bytes, which do not end behind a backslash without its character.

        Raises TextTooLong as `read_json`, and orjson.JSONDecodeError.
        """
        self._raw.append(raw)
        self._raw_size += len(raw)
        if self._raw_size < SLICE_BYTES:
            return
        if cut := _PLAIN.search(raw, max(0, len(raw) - _PLAIN_WITHIN)):
            self._raw[-1] = raw[: cut.end()]
            self._decode()
            self._raw, self._raw_size = [raw[cut.end() :]], len(raw) - cut.end()
        elif all(map(_SHORT_ESCAPES.fullmatch, self._raw)):
            self._decode()
            self._raw, self._raw_size = [], 0
        if self._raw_size > MAX_TEXT_BYTES:
            raise self._too_long()

    def close(self, raw: bytes) -> None:
        """Take the last bytes. Raises as `add`."""
        self._raw.append(raw)
        self._decode()

    def text(self) -> str:
        """The whole string; call it once."""
        text = ""
        while self._parts:  # one join would hold the interpreter's lock longer than several
            text += "".join(self._parts[:_PARTS_AT_ONCE])
            del self._parts[:_PARTS_AT_ONCE]
        return text

    def _decode(self) -> None:
        part: str = parsed(b'"%b"' % b"".join(self._raw))
        self._parts.append(part)
        self._size += len(part)
        self._is_ascii = self._is_ascii and part.isascii()
        if self._size > MAX_TEXT_BYTES and not self._is_ascii:
            raise self._too_long()

    def _too_long(self) -> TextTooLong:
        return TextTooLong(
            f"The body has a string of more than {MAX_TEXT_BYTES:,} bytes that is not base64; send a shorter text."
        )


def end_of_string(data: bytes, start: int) -> int:
    """Place behind the quote that ends the string that goes on at `start`; -1 if it is not in the data."""
    quote = data.find(b'"', start)
    if quote < 0 or (escape := data.find(b"\\", start, quote)) < 0:
        return quote + 1 or -1
    rest = _REST_OF_STRING.match(data, escape)
    return rest.end() if rest else -1


def parsed(data: bytes) -> Any:
    """Parsed JSON. Lone surrogates are kept, so that the text with one can be refused by its row, and so is NaN.

    Raises:
        orjson.JSONDecodeError: the data is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(data.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            raise error from None
