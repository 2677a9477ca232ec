"""Schema of MLflow's scoring server: its two forms of a data frame, and its answer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, WithJsonSchema

from app.api.azure.schema import COLUMNS, EmbeddingRow, InputData, table_job
from app.api.classify.schema import LabelScore
from app.api.embed_job import EmbedJob
from app.api.params import Params
from app.api.validation import validated
from app.errors import RequestInvalid

_RECORD_SCHEMA = {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "null"}]}}
MLFLOW_FORMS = frozenset({"dataframe_split", "dataframe_records"})


class SplitRequest(BaseModel):
    """A data frame as pandas writes it with `orient="split"`."""

    dataframe_split: InputData
    params: Params | None = None


class RecordsRequest(BaseModel):
    """A data frame as a list of its rows."""

    dataframe_records: list[Annotated[Any, WithJsonSchema(_RECORD_SCHEMA)]]
    params: Params | None = None


class Predictions(BaseModel):
    """The answer to both forms."""

    predictions: list[EmbeddingRow | list[LabelScore]]


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
        return table_job(
            split.dataframe_split, "dataframe_split", split.params, document, max_rows=max_rows, convert=_without_nan
        )
    records = validated(RecordsRequest, document)
    table = InputData(columns=list(COLUMNS), data=records.dataframe_records)
    job = table_job(table, "dataframe_records", records.params, document, max_rows=max_rows, convert=_row)
    has_texts = any(isinstance(record, Mapping) and "text" in record for record in records.dataframe_records)
    return replace(job, only_images=not has_texts)


def _row(number: int, record: Any) -> list[Any]:
    """The values of a record in the order of `COLUMNS`, None for a missing one."""
    if not isinstance(record, Mapping):
        raise RequestInvalid(f"dataframe_records.{number} is wrong: it must be an object.", row=number)
    if not record.keys() <= set(COLUMNS):
        choices = " and ".join(f'"{name}"' for name in COLUMNS)
        raise RequestInvalid(f"Row {number} has a key that is not a column; this route reads {choices}.", row=number)
    values: list[Any] = _without_nan(number, [record.get(name) for name in COLUMNS])
    return values


def _without_nan(_number: int, row: Any) -> Any:
    """A row with None for NaN, which pandas writes for missing values."""
    return [None if value != value else value for value in row] if isinstance(row, list) else row
