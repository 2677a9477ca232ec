"""Validation of request bodies, with messages that name the place and repeat no value."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import RequestInvalid

Model = TypeVar("Model", bound=BaseModel)

_JSON_NAMES = {list: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def validated(model: type[Model], document: Any, *, from_strings: bool = False) -> Model:
    """An instance of a pydantic model.

    Args:
        model: the model class.
        document: parsed JSON, or the query's strings.
        from_strings: True converts the values from strings.

    Raises:
        RequestInvalid: the message names the first wrong field, and never repeats its value.
    """
    if not isinstance(document, Mapping):
        wanted = next(iter(model.model_fields))
        kind = _JSON_NAMES[type(document)]
        raise RequestInvalid(f'The body is a JSON {kind}; send an object with the key "{wanted}".')
    try:
        return model.model_validate_strings(document) if from_strings else model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        what = "is missing" if first["type"] == "missing" else f"is wrong: {reason[0].lower()}{reason[1:]}"
        raise RequestInvalid(f"{place or 'The query'} {what}.") from None
