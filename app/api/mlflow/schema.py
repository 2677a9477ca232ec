"""Schema of MLflow's scoring server: its two forms of a data frame, and its answer."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from app.api.azure.schema import COLUMNS, EmbeddingRow, InputData
from app.api.params import Params
from app.errors import RequestInvalid

MLFLOW_FORMS = frozenset({"dataframe_split", "dataframe_records"})


class SplitRequest(BaseModel):
    """A data frame as pandas writes it with `orient="split"`."""

    dataframe_split: InputData
    params: Params | None = None


class RecordsRequest(BaseModel):
    """A data frame as a list of its rows."""

    dataframe_records: list[dict[str, str | None]]
    params: Params | None = None


class Predictions(BaseModel):
    """The answer to both forms."""

    predictions: list[EmbeddingRow]


def is_mlflow(document: Any) -> bool:
    """Whether a JSON document has one of MLflow's own forms."""
    return isinstance(document, dict) and not MLFLOW_FORMS.isdisjoint(document)


def to_azure(document: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a document in one of MLflow's forms to the Azure schema.

    Raises:
        RequestInvalid: the document has both forms, or the form is wrong.
    """
    forms = sorted(MLFLOW_FORMS & document.keys())
    if len(forms) > 1:
        raise RequestInvalid(f"The body has {' and '.join(forms)}; send only one of them.")
    params = {"params": document["params"]} if "params" in document else {}
    if forms == ["dataframe_split"]:
        table = document["dataframe_split"]
        if isinstance(table, dict) and isinstance(rows := table.get("data"), list):
            table = table | {"data": [_without_nan(row) for row in rows]}
        return {"input_data": table, **params}
    records = document["dataframe_records"]
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise RequestInvalid("dataframe_records is wrong: it must be a list of objects.")
    columns = list(dict.fromkeys(name for record in records for name in record)) or list(COLUMNS)
    if set(columns) - set(COLUMNS):
        # The columns will be refused by name. Rows would make a table of their number squared, if each brings a column.
        return {"input_data": {"columns": columns, "data": []}, **params}
    rows = [_without_nan([record.get(name) for name in columns]) for record in records]
    return {"input_data": {"columns": columns, "data": rows}, **params}


def _without_nan(row: Any) -> Any:
    """A row with None for NaN, which pandas writes for missing values."""
    return [None if value != value else value for value in row] if isinstance(row, list) else row
