"""Parts of a JSON answer that are written one by one, because orjson holds the interpreter's lock while it writes."""

from typing import Any

import orjson


def as_json(part: Any) -> orjson.Fragment:
    """A part of an answer, written."""
    return orjson.Fragment(orjson.dumps(part))


def json_bytes(text: str) -> int:
    """Bytes of a string in JSON, with its quotes; one per character if it has half of a surrogate pair.

    No answer can have such a string, because the text is refused when it is read.
    """
    try:
        return len(orjson.dumps(text))
    except orjson.JSONEncodeError:
        return len(text)
