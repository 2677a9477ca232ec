"""The request schema of the Azure endpoint, its row checks, and the shapes of the answers. pydantic only."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from app.errors import RequestInvalid, TooManyRows
from model.rendering import WINDOWS, Axis, Rendering, Window

Model = TypeVar("Model", bound=BaseModel)

COLUMNS = ("image", "text")
_JSON_NAMES = {list: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
MLFLOW_FORMS = frozenset({"dataframe_split", "dataframe_records"})
MOST_STANDARDIZATION_PIXELS = 4096  # per side: 50 MB a picture; the encoder never sees more than its own size


def _boolean(value: Any) -> Any:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


Flag = Annotated[bool, Field(strict=True), BeforeValidator(_boolean)]


def _window(value: Any) -> Window:
    if isinstance(value, str) and "," not in value:
        if value in WINDOWS:
            return WINDOWS[value]
        raise ValueError(f"not a window that is known; known are {', '.join(WINDOWS)}")
    parts = value.split(",") if isinstance(value, str) else value
    try:
        center, width = (float(part) for part in parts)
    except (TypeError, ValueError):
        raise ValueError("a name or [center, width] is needed") from None
    if not (math.isfinite(center) and math.isfinite(width) and width > 0):
        raise ValueError("center and width must be finite, and width greater than 0")
    return Window(center, width)


_WINDOW_SCHEMA = {
    "anyOf": [
        {"type": "string", "enum": [*WINDOWS]},
        {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    ]
}


class Params(BaseModel):
    """How to compute and how to answer; all may be left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    get_scaling_factor: Flag = Field(True, description="put the raw learned `logit_scale` into every row")
    image_standardization_image_size: Annotated[int, Field(strict=True)] = Field(
        512, ge=1, le=MOST_STANDARDIZATION_PIXELS, description="pixels along both sides of the standardised image"
    )
    image_standardization_jpeg_compression_ratio: Annotated[int, Field(strict=True)] | None = Field(
        75, ge=0, le=95, description="JPEG quality of the standardised image; 0 or null turns standardisation off"
    )
    layout: Literal["rows", "parts", "columns"] = Field("rows", description="shape of the answer")
    frame: Annotated[int, Field(strict=True)] | None = Field(
        None,
        ge=0,
        description="which frame of a DICOM file, page of a TIFF or slice of a NIfTI or NRRD volume, counted from "
        "0; null takes the first, or of volumes the middle one",
    )
    frames: Literal["all"] | None = Field(
        None, description='"all" gives one vector a frame, in their order, on `/embed/image`'
    )
    axis: Axis = Field("axial", description="across which slices are taken of a NIfTI or NRRD volume")
    dicom_window: Annotated[Window, BeforeValidator(_window), WithJsonSchema(_WINDOW_SCHEMA)] | None = Field(
        None,
        description="`[center, width]` in the values after rescaling (HU for CT), or the name of a usual CT window, "
        "instead of the file's own; for DICOM, NIfTI and NRRD",
    )
    normalize: Flag = Field(True, description="vectors of unit L2 norm; false gives the projections as they are")
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="of a vector in JSON: numbers, or its little-endian memory as base64"
    )
    output_dtype: Literal["float32", "float16", "int8", "binary"] = Field(
        "float32",
        description="of a vector's numbers: int8 has 256 steps from -0.2 to 0.2, binary eight signs in an int8",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.frames and self.frame is not None:
            raise ValueError('frame and frames exclude each other; frames is "all" or left out')
        if self.output_dtype == "int8" and not self.normalize:
            raise ValueError("output_dtype int8 is of unit vectors; leave normalize out")
        return self

    @property
    def rendering(self) -> Rendering:
        """Which picture of a file is made, and how."""
        return Rendering(self.frame, self.axis, self.dicom_window)


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


class SplitRequest(BaseModel):
    """MLflow's form of a data frame, as pandas splits it."""

    dataframe_split: InputData
    params: Params | None = None


class RecordsRequest(BaseModel):
    """MLflow's form of a data frame as a list of its rows."""

    dataframe_records: list[dict[str, str | None]]
    params: Params | None = None


class Predictions(BaseModel):
    """The answer to MLflow's forms."""

    predictions: list["EmbeddingRow"]


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


def mlflow_table(document: Mapping[str, Any]) -> dict[str, Any]:
    """A body of MLflow's scoring server as the Azure schema has it.

    Raises:
        RequestInvalid: more than one form, or a wrong one.
    """
    forms = sorted(MLFLOW_FORMS & document.keys())
    if len(forms) > 1:
        raise RequestInvalid(f"The body has {' and '.join(forms)}; one of them is needed.")
    params = {"params": document["params"]} if "params" in document else {}
    if forms == ["dataframe_split"]:
        table = document["dataframe_split"]
        if isinstance(table, dict) and isinstance(rows := table.get("data"), list):
            table = table | {"data": [_without_nan(row) for row in rows]}
        return {"input_data": table, **params}
    records = document["dataframe_records"]
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise RequestInvalid("dataframe_records is wrong: a list of objects is needed.")
    columns = list(dict.fromkeys(name for record in records for name in record)) or list(COLUMNS)
    rows = [_without_nan([record.get(name) for name in columns]) for record in records]
    return {"input_data": {"columns": columns, "data": rows}, **params}


def _without_nan(row: Any) -> Any:
    """A row of a data frame, in which pandas writes NaN for what is missing."""
    return [None if value != value else value for value in row] if isinstance(row, list) else row


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


def ignored_params(document: Any) -> tuple[str, ...]:
    """The names in `params` that mean nothing here."""
    params = document.get("params") if isinstance(document, Mapping) else None
    return tuple(name for name in params or () if name not in Params.model_fields)


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
