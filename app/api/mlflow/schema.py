"""The request forms of MLflow's scoring server, and its form of the answer. pydantic only."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from app.api.azure.schema import COLUMNS, EmbeddingRow, InputData
from app.api.params import Params
from app.errors import RequestInvalid

MLFLOW_FORMS = frozenset({"dataframe_split", "dataframe_records"})


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

    predictions: list[EmbeddingRow]


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
    if set(columns) - set(COLUMNS):  # refused by name, whatever the rows are: every record may bring another
        return {"input_data": {"columns": columns, "data": []}, **params}
    rows = [_without_nan([record.get(name) for name in columns]) for record in records]
    return {"input_data": {"columns": columns, "data": rows}, **params}


def _without_nan(row: Any) -> Any:
    """A row of a data frame, in which pandas writes NaN for what is missing."""
    return [None if value != value else value for value in row] if isinstance(row, list) else row
