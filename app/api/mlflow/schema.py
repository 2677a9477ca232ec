"""Schema of MLflow's scoring server: its two forms of a data frame, and its answer."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, FailFast, WithJsonSchema

from app.api.azure.schema import COLUMNS, EmbeddingRow, InputData, table_items
from app.api.embed_job import EmbedJob, check_row_count
from app.api.params import Params, ignored_params
from app.api.validation import validated
from app.errors import RequestInvalid

_CELL_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "null"}]}
MLFLOW_FORMS = frozenset({"dataframe_split", "dataframe_records"})


class SplitRequest(BaseModel):
    """A data frame as pandas writes it with `orient="split"`."""

    dataframe_split: InputData
    params: Params | None = None


class RecordsRequest(BaseModel):
    """A data frame as a list of its rows."""

    dataframe_records: Annotated[list[dict[str, Annotated[Any, WithJsonSchema(_CELL_SCHEMA)]]], FailFast()]
    params: Params | None = None


class Predictions(BaseModel):
    """The answer to both forms."""

    predictions: list[EmbeddingRow]


def is_mlflow(document: Any) -> bool:
    """Whether a JSON document has one of MLflow's own forms."""
    return isinstance(document, dict) and not MLFLOW_FORMS.isdisjoint(document)


def parse_data_frame(document: Mapping[str, Any], *, max_rows: int) -> EmbedJob:
    """Parse a document in one of MLflow's forms.

    Raises:
        RequestInvalid: the document has both forms, or the form is wrong; the message names the field or the row.
        TooManyRows: more rows than `max_rows`.
    """
    if document.keys() >= MLFLOW_FORMS:
        raise RequestInvalid(f"The body has {' and '.join(sorted(MLFLOW_FORMS))}; send only one of them.")
    if "dataframe_split" in document:
        split = validated(SplitRequest, document)
        name, table, params = "dataframe_split", split.dataframe_split, split.params
    else:
        records = validated(RecordsRequest, document)
        check_row_count(len(records.dataframe_records), max_rows)
        rows = [_row(number, record) for number, record in enumerate(records.dataframe_records)]
        name, table, params = "dataframe_records", InputData(columns=list(COLUMNS), data=rows), records.params
    table.data = [_without_nan(row) for row in table.data]
    images, texts = table_items(table, name, max_rows=max_rows)
    return EmbedJob(len(table.data), images, texts, params or Params(), ignored_params(document))


def _row(number: int, record: Mapping[str, Any]) -> list[Any]:
    """The values of a record in the order of `COLUMNS`, None for a missing one."""
    if not record.keys() <= set(COLUMNS):
        choices = " and ".join(f'"{name}"' for name in COLUMNS)
        raise RequestInvalid(f"Row {number} has a key that is not a column; this route reads {choices}.", row=number)
    return [record.get(name) for name in COLUMNS]


def _without_nan(row: Any) -> Any:
    """A row with None for NaN, which pandas writes for missing values."""
    return [None if value != value else value for value in row] if isinstance(row, list) else row
