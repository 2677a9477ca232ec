"""Schema of the Azure endpoint: request bodies, their checks, and the shapes of the answers."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BaseModel, FailFast, Field, WithJsonSchema

from app.api.embed_job import EmbedJob, check_row_count
from app.api.params import Params, ignored_params
from app.api.validation import validated
from app.errors import RequestInvalid
from app.inference.bad_rows import BadRows
from app.inference.items import Item

COLUMNS = ("image", "text")
_LONGEST_COLUMN, _ALIKE = 20, 0.8  # of a name that may be misspelt; "age" is not "image"


class InputData(BaseModel):
    """A table as pandas writes it with `orient="split"`."""

    columns: Annotated[list[str], FailFast()] = Field(
        description='`["image", "text"]` in any order, `["image"]` or `["text"]`'
    )
    index: list[Any] | None = Field(None, description="one value per row of `data`; optional")
    data: list[Any] = Field(
        description="Rows: lists in the order of `columns`, or objects. `image` is base64, with or without a `data:` "
        "prefix, or an http(s) URL that the server's URL_ALLOWLIST permits. "
        'A missing image or text is `""` or `null`.'
    )


class EmbedRequest(BaseModel):
    """A request in the Azure endpoint's schema."""

    input_data: InputData
    params: Params | None = None


class TextsRequest(BaseModel):
    """A request that holds only texts."""

    texts: list[Annotated[Any, WithJsonSchema({"type": "string"})]]
    params: Params | None = None


Vector = list[float] | str
"""One vector: numbers, or a string with `params.encoding_format: "base64"`."""


class BadRowError(BaseModel):
    """What is wrong with a row."""

    code: str = Field(description="stable name of the kind of error, in snake_case")
    message: str = Field(description="one sentence that says what is wrong and where")


class EmbeddingRow(BaseModel):
    """Answer for one row, with the features of its image, its text or both; or with its error."""

    image_features: list[Vector] | None = Field(None, description="1 x D, unit L2 norm; frames x D with `frames: all`")
    text_features: list[Vector] | Vector | None = Field(
        None, description='1 x D, unit L2 norm; D with `params.layout: "azure"`'
    )
    scaling_factor: float | None = Field(None, description="the raw learned `logit_scale`; apply exp() yourself")
    error: BadRowError | None = Field(
        None, description='what is wrong with the row, which has nothing else; only with `params.on_error: "row"`'
    )


class EmbeddingColumns(BaseModel):
    """Answer for all rows together, with `params.layout: "columns"`."""

    image_features: list[Vector] | None = Field(None, description="rows x D, unit L2 norm")
    text_features: list[Vector] | None = Field(None, description="rows x D, unit L2 norm")
    scaling_factor: float | None = Field(None, description="the raw learned `logit_scale`; apply exp() yourself")


class ErrorBody(BaseModel):
    """Body of every error."""

    message: str = Field(description="one sentence that says what is wrong and where")
    code: str = Field(description="stable name of the kind of error, in snake_case")
    row: int | None = None
    column: str | None = None


Convert = Callable[[int, Any], Any]


def _as_sent(_number: int, row: Any) -> Any:
    return row


def parse_table(document: Any, *, max_rows: int, columns: Sequence[str] = COLUMNS) -> EmbedJob:
    """Parse a JSON document of the Azure schema.

    Args:
        document: parsed JSON body.
        max_rows: largest number of rows that is accepted.
        columns: column names that the route accepts.

    Raises:
        RequestInvalid: the document does not follow the schema; the message names the field or the first bad row.
        TooManyRows: more rows than `max_rows`.
    """
    request = validated(EmbedRequest, document)
    return table_job(request.input_data, "input_data", request.params, document, max_rows=max_rows, columns=columns)


def table_job(
    table: InputData,
    name: str,
    params: Params | None,
    document: Any,
    *,
    max_rows: int,
    columns: Sequence[str] = COLUMNS,
    convert: Convert = _as_sent,
) -> EmbedJob:
    """The job of a table and its parameters.

    Args:
        table: the table.
        name: key of the table in the request, for error messages.
        params: the parameters; None takes the defaults.
        document: the whole body, whose unknown parameters are noted.
        max_rows: largest number of rows that is accepted.
        columns: column names that the route accepts.
        convert: what each row is converted with.

    Raises:
        RequestInvalid: as `table_items`.
        TooManyRows: more rows than `max_rows`.
    """
    params = params or Params()
    bad_rows = BadRows(answered=params.answers_bad_rows)
    images, texts = table_items(table, name, max_rows=max_rows, columns=columns, convert=convert, bad_rows=bad_rows)
    return EmbedJob(
        len(table.data),
        images,
        texts,
        params,
        ignored_params(document),
        bad_rows.errors,
        only_images="text" not in table.columns,
    )


def table_items(
    table: InputData,
    name: str,
    *,
    max_rows: int,
    columns: Sequence[str] = COLUMNS,
    convert: Convert = _as_sent,
    bad_rows: BadRows | None = None,
) -> tuple[list[Item], list[Item]]:
    """The images and the texts of a table, each in the order of their rows.

    Args:
        table: the table.
        name: key of the table in the request, for error messages.
        max_rows: largest number of rows that is accepted.
        columns: column names that the route accepts.
        convert: makes a row a list or an object from its number and its value; it may raise RequestInvalid.
        bad_rows: gets the error of each bad row, if bad rows are answered. Default: a bad row refuses the request.

    Raises:
        RequestInvalid: a column, the index, or a row that refuses the request, is wrong; the message names it.
        TooManyRows: more rows than `max_rows`.
    """
    _check_columns(table.columns, name, columns)
    count = len(table.data)
    check_row_count(count, max_rows)
    if table.index is not None and len(table.index) != count:
        raise RequestInvalid(
            f"{name}.index has {len(table.index)} items, data has {count} rows; give as many, or leave index out."
        )
    images, texts = [], []
    for number, row in enumerate(table.data):
        try:
            image, text = _cells(number, convert(number, row), table.columns)
        except RequestInvalid as error:
            if bad_rows is None or not bad_rows.add(error):
                raise
            continue
        if image:
            images.append(Item(number, image))
        if text:
            texts.append(Item(number, text))
    return images, texts


def parse_texts(document: Any, *, max_rows: int) -> EmbedJob:
    """Parse a document `{"texts": [...]}`; raises the same errors as `parse_table`."""
    request = validated(TextsRequest, document)
    table = InputData(columns=["text"], data=[[text] for text in request.texts])
    return table_job(table, "texts", request.params, document, max_rows=max_rows, columns=["text"])


def _check_columns(columns: Sequence[str], table_name: str, allowed: Sequence[str]) -> None:
    if not columns:
        raise RequestInvalid(f"{table_name}.columns is empty; this route reads {_quoted(allowed)}.")
    for number, name in enumerate(columns):
        if name not in allowed:
            raise RequestInvalid(f"{table_name}.columns[{number}] is {_known_instead(name, allowed)}.")
        if name in columns[:number]:
            raise RequestInvalid(f'{table_name}.columns names "{name}" twice.', column=name)


def _known_instead(name: str, allowed: Sequence[str]) -> str:
    """What is wrong with a name that is no column of the route; it quotes only known names."""
    if close := get_close_matches(name[:_LONGEST_COLUMN].lower(), allowed, n=1, cutoff=_ALIKE):
        return f'misspelt; write "{close[0]}"'
    other = ", while /embed reads both columns" if name in COLUMNS else ""
    return f"not a column of this route, which reads {_quoted(allowed)}{other}"


def _quoted(names: Sequence[str]) -> str:
    return " and ".join(f'"{name}"' for name in names)


def _cells(number: int, row: Any, columns: Sequence[str]) -> tuple[str | None, str | None]:
    """The image and the text of one row; at least one of them is a string that is not empty."""
    if isinstance(row, Mapping):
        if missing := [name for name in columns if name not in row]:
            raise RequestInvalid(f'Row {number} lacks the key "{missing[0]}".', row=number, column=missing[0])
        if len(row) > len(columns):
            raise RequestInvalid(f"Row {number} has {len(row)} keys, columns has {len(columns)}.", row=number)
        cells: Mapping[str, Any] = row
    elif isinstance(row, list):
        if len(row) != len(columns):
            raise RequestInvalid(
                f'Row {number} has {len(row)} values, columns has {len(columns)}; send one value per column, "" or '
                "null for a missing one.",
                row=number,
            )
        cells = dict(zip(columns, row, strict=True))
    else:
        values = ", ".join('"…"' for _ in columns)
        raise RequestInvalid(
            f"Row {number} is neither a list nor an object; send the values of {' and '.join(columns)} as a list, "
            f"[{values}].",
            row=number,
        )
    for name, value in cells.items():
        if value is not None and not isinstance(value, str):
            raise RequestInvalid(
                f"Row {number}, column {name}: the value must be a string or null.", row=number, column=name
            )
    image, text = cells.get("image"), cells.get("text")
    if not image and not text:
        raise RequestInvalid(f"Row {number} has neither an image nor a text.", row=number)
    return image, text
