"""Validation of request bodies, with messages that name the place and repeat no value."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import RequestInvalid

Model = TypeVar("Model", bound=BaseModel)

_JSON_NAMES = {list: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
# For these errors, the messages of pydantic name Python classes.
_REASONS = dict.fromkeys(("model_type", "dict_type"), "it must be an object")


def check_has_one_of(document: Any, keys: Sequence[str]) -> None:
    """Raise RequestInvalid if a JSON object has none of the keys."""
    if isinstance(document, Mapping) and document.keys().isdisjoint(keys):
        raise RequestInvalid(f"The body has none of the keys {', '.join(keys)}; send one of them.")


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
        reason = _REASONS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        what = "is missing" if first["type"] == "missing" else f"is wrong: {reason[0].lower()}{reason[1:]}"
        raise RequestInvalid(f"{place or 'The set of parameters'} {what}.") from None
