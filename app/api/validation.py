"""Validation of request bodies, with messages that name the place and repeat no value."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError, WithJsonSchema

from app.errors import RequestInvalid, TooManyRows

Model = TypeVar("Model", bound=BaseModel)
Strings = Annotated[
    list[Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1})]], Field(json_schema_extra={"minItems": 1})
]
"""A list whose entries `check_strings` checks, because its messages name the entry."""

# For these errors, the messages of pydantic name Python classes.
_REASONS = dict.fromkeys(("model_type", "dict_type"), "it must be an object")


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
    try:
        return model.model_validate_strings(document) if from_strings else model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = _REASONS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        what = "is missing" if first["type"] == "missing" else f"is wrong: {reason[0].lower()}{reason[1:]}"
        raise RequestInvalid(f"{place or 'The set of parameters'} {what}.") from None
