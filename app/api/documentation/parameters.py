"""Query parameters and request headers, derived from the pydantic models that parse them."""

import json
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import BaseModel

from app.api.execution import TIMEOUT_HEADER
from app.middleware.request_ids import MAX_ID_LENGTH

REQUEST_HEADERS: list[dict[str, Any]] = [
    {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "description": "Milliseconds to answer within; it can only shorten the server's own limit.",
        "schema": {"type": "integer", "minimum": 1},
    },
    {
        "name": "x-request-id",
        "in": "header",
        "description": "Id of the request, which the answer and the log of the server repeat.",
        "schema": {"type": "string", "maxLength": MAX_ID_LENGTH},
    },
]


def query_parameters(model: type[BaseModel], *, without: Collection[str] = ()) -> list[dict[str, Any]]:
    """The query parameters that a model parses from strings.

    The schemas have no defaults. Generated clients and the documentation page would send these, and a value that is
    sent has priority over that of a head.

    Args:
        model: the model, all fields of which are optional.
        without: fields that the route does not accept.
    """
    fields = model.model_json_schema()["properties"]
    return [_parameter(name, field) for name, field in fields.items() if name not in without]


def _parameter(name: str, field: dict[str, Any]) -> dict[str, Any]:
    alternatives = list(_alternatives(field))
    sentences = [field["description"]]
    if (default := field.get("default")) is not None:
        sentences.append(f"Default: `{default if isinstance(default, str) else json.dumps(default)}`")
    if any(_is_list_of(one, "string") for one in alternatives):
        schema: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
        sentences.append("The parameter may be repeated")
    elif len(alternatives) == 1:
        schema = alternatives[0]
    else:
        schema = {"type": "string"}
        if any(_is_list_of(one, "number") for one in alternatives):
            sentences.append("In a query, numbers are separated by a comma")
    return {"name": name, "in": "query", "description": ". ".join(sentences) + ".", "schema": schema}


def _alternatives(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas of which a value has one, without null, which a query cannot hold."""
    if "anyOf" in schema:
        for alternative in schema["anyOf"]:
            yield from _alternatives(alternative)
    elif schema["type"] != "null":
        yield {key: value for key, value in schema.items() if key not in ("title", "description", "default")}


def _is_list_of(schema: dict[str, Any], kind: str) -> bool:
    return schema["type"] == "array" and bool(schema["items"]["type"] == kind)
