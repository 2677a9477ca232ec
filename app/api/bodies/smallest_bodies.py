"""The smallest JSON body of each route: what a body of another shape is answered with."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from app.errors import RequestInvalid

Body = Mapping[str, Any]

IMAGE = "<base64 of an image file>"
"""What stands for an image in the smallest bodies."""
TEXT, _OTHER_TEXT = "chest x-ray", "brain mri"

_JSON_NAMES = {list: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
_OPTIONAL = "params"
_NAME = re.compile(r'"(\w+?)s?"')
_MAX_NAMES, _MAX_NAME_CHARS = 20, 20  # of a sent body, to choose the smallest body that is shown


def _table(column: str, value: str) -> Body:
    return {"columns": [column], "data": [[value]]}


_IMAGE_TABLE: Body = {"input_data": _table("image", IMAGE)}
_TEXT_TABLE: Body = {"input_data": _table("text", TEXT)}
_SIDES = ({"images": [IMAGE]}, {"texts": [TEXT]})
_COHERE = (
    {"texts": [TEXT]},
    {"images": [f"data:image/png;base64,{IMAGE}"]},
    {"inputs": [{"content": [{"type": "text", "text": TEXT}]}]},
)

SMALLEST_BODIES: Mapping[str, Sequence[Body]] = {
    "/embed": (_TEXT_TABLE, _IMAGE_TABLE),
    "/embed/text": ({"texts": [TEXT]}, _TEXT_TABLE),
    "/embed/image": (_IMAGE_TABLE,),
    "/score": (_TEXT_TABLE, _IMAGE_TABLE),
    "/classify": ({**_IMAGE_TABLE, "params": {"labels": [TEXT, _OTHER_TEXT]}},),
    "/render": (_IMAGE_TABLE,),
    "/similarity": tuple({"a": a, "b": b} for a in _SIDES for b in reversed(_SIDES)),
    "/v1/embeddings": ({"input": TEXT}, {"messages": [{"role": "user", "content": TEXT}]}),
    "/v2/embed": _COHERE,
    "/providers/microsoft/v2/embed": _COHERE,
    "/predict": ({"images": [IMAGE], "labels": [TEXT, _OTHER_TEXT]},),
    "/encode": ({"images": [IMAGE]}, {"texts": [TEXT]}, {"images": [IMAGE], "texts": [TEXT]}),
    "/invocations": (
        _TEXT_TABLE,
        _IMAGE_TABLE,
        {"dataframe_split": _table("text", TEXT)},
        {"dataframe_split": _table("image", IMAGE)},
        {"dataframe_records": [{"text": TEXT}]},
        {"dataframe_records": [{"image": IMAGE}]},
    ),
}
"""By route: a body of each form that the route reads. It is answered with 200 once an image replaces `IMAGE`."""


def check_shape(document: Any, route: str) -> None:
    """Check that a JSON document has the objects and lists of one of the smallest bodies of its route.

    Raises:
        RequestInvalid: the document has another shape, or has images or texts that the route would drop. The message
            names the place, and the route that reads them if there is one. It shows the closest of the smallest bodies.
    """
    bodies = SMALLEST_BODIES[route]
    if not isinstance(document, Mapping):
        raise _refusal(f"The body is a JSON {_JSON_NAMES[type(document)]}", route)
    for key in ("images", "texts"):
        if document.get(key) and not any(key in body for body in bodies):
            reader = _reader(document, route, key)
            which = f", which {reader} reads" if reader else ""
            raise _refusal(f'{route} does not read the key "{key}"{which}', route, document)
    if any(_is_read_as(body, document) for body in bodies):
        return
    if all(document.keys().isdisjoint(body) for body in bodies) and (reader := _reader(document, route)):
        raise _refusal(f"The body has the form of {reader}", route, document)
    raise _refusal(next(_faults(_closest(bodies, document), document)), route, document)


def empty_body(route: str) -> RequestInvalid:
    """The refusal of a JSON body without a byte."""
    return _refusal("The body is empty", route)


def _refusal(wrong: str, route: str, sent: Body | None = None) -> RequestInvalid:
    smallest = json.dumps(_closest(SMALLEST_BODIES[route], sent or {}))
    return RequestInvalid(f"{wrong}; the smallest body of {route} is {smallest}.")


def _is_read_as(body: Body, sent: Body) -> bool:
    return next(_faults(body, sent), None) is None


def _faults(body: Body, sent: Body, place: str = "") -> Iterator[str]:
    """What a sent object lacks of an object of a smallest body. Lists are not looked into: a row may be bad alone."""
    for key, value in body.items():
        name, given = f"{place}{key}", sent.get(key)
        if key == _OPTIONAL:
            continue
        if given is None:
            yield f"{name} is missing"
        elif isinstance(value, list) and not isinstance(given, list):
            yield f"{name} is wrong: it must be a list"
        elif isinstance(value, Mapping) and not isinstance(given, Mapping):
            yield f"{name} is wrong: it must be an object"
        elif isinstance(value, Mapping):
            yield from _faults(value, given, f"{name}.")


def _has_entries_of(body: Body, sent: Body) -> bool:
    """Whether the lists of a sent object that is read as a smallest body begin with entries of the same kind."""
    lists = [(value, sent[key]) for key, value in body.items() if isinstance(value, list)]
    return all(type(wanted[0]) is type(given[0]) for wanted, given in lists if given)


def _closest(bodies: Sequence[Body], sent: Body) -> Body:
    """The body with most of the names in a sent object, and then the fewest faults; `images` counts as `image`."""
    nested = [value for value in sent.values() if isinstance(value, Mapping)]
    names = {name[:_MAX_NAME_CHARS].lower().removesuffix("s") for name in islice(chain(sent, *nested), _MAX_NAMES)}

    def likeness(body: Body) -> tuple[int, int]:
        return len(names & set(_NAME.findall(json.dumps(body)))), -sum(1 for _ in _faults(body, sent))

    return max(bodies, key=likeness)


def _reader(sent: Body, route: str, key: str = "") -> str:
    """The other route that reads most keys of a sent object, with this one among them; "" if there is none."""
    keys_read = {
        other: len(body.keys() - {_OPTIONAL})
        for other, bodies in SMALLEST_BODIES.items()
        for body in bodies
        if other != route and (not key or key in body) and _is_read_as(body, sent) and _has_entries_of(body, sent)
    }
    return max(keys_read, key=keys_read.__getitem__, default="")
