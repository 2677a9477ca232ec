"""The request schema of the Azure endpoint, its row checks, and the shapes of the answers. pydantic only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError, WithJsonSchema

from app.api.params import Params, ignored_params
from app.errors import RequestInvalid, TooManyRows

Model = TypeVar("Model", bound=BaseModel)

COLUMNS = ("image", "text")
_JSON_NAMES = {list: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


class InputData(BaseModel):
    """A table in pandas' split orientation."""

    columns: list[str] = Field(description='`["image", "text"]` in any order, `["image"]` or `["text"]`')
    index: list[Any] | None = Field(None, description="as long as `data`; may be left out")
    data: list[Any] = Field(
        description="rows: lists in the order of `columns`, or objects. `image` is base64, with or without a `data:` "
        "prefix, or an http(s) URL that the server's URL_ALLOWLIST names; "
        'a side that a row lacks is `""` or `null`'
    )


class EmbedRequest(BaseModel):
    """A request of the Azure endpoint's schema."""

    input_data: InputData
    params: Params | None = None


class TextsRequest(BaseModel):
    """A request that is only texts."""

    texts: list[Annotated[Any, WithJsonSchema({"type": "string"})]]
    params: Params | None = None


# One vector; a string with `params.encoding_format: "base64"`.
Vector = list[float] | str


class EmbeddingRow(BaseModel):
    """What is computed of one row; a side that the row lacks is left out."""

    image_features: list[Vector] | None = Field(None, description="1 x D, unit L2 norm; frames x D with `frames: all`")
    text_features: list[Vector] | None = Field(None, description="1 x D, unit L2 norm")
    scaling_factor: float | None = Field(None, description="the raw learned `logit_scale`; apply exp() yourself")


class EmbeddingColumns(BaseModel):
    """All rows' sides together: the answer to `params.layout: "columns"`."""

    image_features: list[Vector] | None = Field(None, description="rows x D, unit L2 norm")
    text_features: list[Vector] | None = Field(None, description="rows x D, unit L2 norm")
    scaling_factor: float | None = Field(None, description="the raw learned `logit_scale`; apply exp() yourself")


class ErrorBody(BaseModel):
    """Every refusal."""

    message: str = Field(description="one sentence: what is wrong and where")
    code: str = Field(description="stable, snake_case")
    row: int | None = None
    column: str | None = None


@dataclass(frozen=True)
class Row:
    """One row of a request, checked; at least one side is there."""

    image: str | None
    text: str | None


@dataclass(frozen=True)
class Embed:
    """A checked request, whatever form it came in."""

    rows: Sequence[Row]
    params: Params
    ignored_params: tuple[str, ...] = ()


def parse_embed(document: Any, *, max_rows: int, allowed: Sequence[str] = COLUMNS) -> Embed:
    """Check a JSON document of the Azure schema.

    Args:
        document: what the body's JSON holds.
        max_rows: more are refused.
        allowed: the columns that the route reads.

    Raises:
        RequestInvalid: not of the schema; names the field or the first bad row.
        TooManyRows: more rows than `max_rows`.
    """
    request = validated(EmbedRequest, document)
    table = request.input_data
    _check_columns(table.columns, allowed)
    count = len(table.data)
    check_row_count(count, max_rows)
    if table.index is not None and len(table.index) != count:
        raise RequestInvalid(
            f"input_data.index has {len(table.index)} items, data has {count} rows; give as many, or leave index out."
        )
    rows = [_row(number, row, table.columns) for number, row in enumerate(table.data)]
    return Embed(rows, request.params or Params(), ignored_params(document))


def parse_texts(document: Any, *, max_rows: int) -> Embed:
    """Check a document `{"texts": [...]}`; raises as `parse_embed`."""
    request = validated(TextsRequest, document)
    check_row_count(len(request.texts), max_rows)
    rows = [_row(number, [text], ["text"]) for number, text in enumerate(request.texts)]
    return Embed(rows, request.params or Params(), ignored_params(document))


def parse_query(query: Mapping[str, str]) -> tuple[Params, tuple[str, ...]]:
    """The parameters of a request whose body has no room for them, and the names that mean nothing.

    Raises:
        RequestInvalid: names the parameter.
    """
    known = {name: value for name, value in query.items() if name in Params.model_fields}
    return validated(Params, known, from_strings=True), tuple(name for name in query if name not in known)


def _check_columns(columns: Sequence[str], allowed: Sequence[str]) -> None:
    choices = " and ".join(f'"{name}"' for name in allowed)
    if not columns:
        raise RequestInvalid(f"input_data.columns is empty; name {choices}.")
    for number, name in enumerate(columns):
        if name not in allowed:
            raise RequestInvalid(f"input_data.columns[{number}] is not a column of this route; it reads {choices}.")
        if name in columns[:number]:
            raise RequestInvalid(f'input_data.columns names "{name}" twice.', column=name)


def check_row_count(count: int, max_rows: int) -> None:
    if not count:
        raise RequestInvalid("The request has no rows.")
    if count > max_rows:
        raise TooManyRows(f"The request has {count} rows, at most {max_rows} are allowed; send it in parts.")


def _row(number: int, row: Any, columns: Sequence[str]) -> Row:
    sides: dict[str, Any]
    if isinstance(row, Mapping):
        if missing := [name for name in columns if name not in row]:
            raise RequestInvalid(f'Row {number} lacks the key "{missing[0]}".', row=number, column=missing[0])
        if len(row) > len(columns):
            raise RequestInvalid(f"Row {number} has {len(row)} keys, columns has {len(columns)}.", row=number)
        sides = dict(row)
    elif isinstance(row, list):
        if len(row) != len(columns):
            raise RequestInvalid(f"Row {number} has {len(row)} values, columns has {len(columns)}.", row=number)
        sides = dict(zip(columns, row, strict=True))
    else:
        raise RequestInvalid(f"Row {number} is neither a list nor an object.", row=number)
    for name, value in sides.items():
        if value is not None and not isinstance(value, str):
            raise RequestInvalid(f"Row {number}, column {name}: a string or null is needed.", row=number, column=name)
    return _with_a_side(number, sides)


def _with_a_side(number: int, sides: Mapping[str, str | None]) -> Row:
    row = Row(sides.get("image") or None, sides.get("text") or None)
    if row.image is None and row.text is None:
        raise RequestInvalid(f"Row {number} has neither an image nor a text.", row=number)
    return row


def validated(model: type[Model], document: Any, *, from_strings: bool = False) -> Model:
    if not isinstance(document, Mapping):
        wanted = next(iter(model.model_fields))
        raise RequestInvalid(f'The body is a JSON {_JSON_NAMES[type(document)]}; an object with "{wanted}" is needed.')
    try:
        return model.model_validate_strings(document) if from_strings else model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        what = "is missing" if first["type"] == "missing" else f"is wrong: {reason[0].lower()}{reason[1:]}"
        raise RequestInvalid(f"{place or 'The query'} {what}.") from None
