"""Validation of request bodies, with messages that name the place and repeat no value."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError, WithJsonSchema

from app.errors import RequestInvalid, TooManyRows

Model = TypeVar("Model", bound=BaseModel)
Strings = Annotated[
    list[Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1})]], Field(json_schema_extra={"minItems": 1})
]
"""A list whose entries `check_strings` checks, because its messages name the entry."""

_JSON_NAMES = {list: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
# For these errors, the messages of pydantic name Python classes.
_REASONS = dict.fromkeys(("model_type", "dict_type"), "it must be an object")


def check_has_one_of(document: Any, keys: Sequence[str]) -> None:
    """Raise RequestInvalid if a JSON object has none of the keys."""
    if isinstance(document, Mapping) and document.keys().isdisjoint(keys):
        raise RequestInvalid(f"The body has none of the keys {', '.join(keys)}; send one of them.")


def check_lacks(document: Any, key: str, instead: str) -> None:
    """Raise RequestInvalid if a JSON object has a value for a key that its route does not read.

    Args:
        document: the JSON document.
        key: the key.
        instead: which routes read it, for the message.
    """
    if isinstance(document, Mapping) and document.get(key) is not None:
        raise RequestInvalid(f'This route does not read the key "{key}"; {instead}.')


def check_strings(values: Sequence[Any], name: str, *, max_count: int) -> None:
    """Check a list that must hold strings which are not empty.

    Args:
        values: the list.
        name: its key in the request, for error messages.
        max_count: largest number of strings.

    Raises:
        RequestInvalid: the list is empty, or an entry is not such a string; the message names the first one.
        TooManyRows: the list has more entries than `max_count`.
    """
    if not values:
        raise RequestInvalid(f"{name} is empty; send at least one entry.")
    if len(values) > max_count:
        raise TooManyRows(f"{name} has {len(values)} entries, at most {max_count} are allowed; send fewer at once.")
    for number, value in enumerate(values):
        if not isinstance(value, str) or not value:
            raise RequestInvalid(f"{name}[{number}] must be a string that is not empty.", row=number)


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
