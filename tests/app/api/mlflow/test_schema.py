"""Conversion of MLflow's forms to the Azure schema. test_mlflow_clients.py tests MLflow's own client."""

import math
from typing import Any

import pytest

from app.api.mlflow.schema import MLFLOW_FORMS, to_azure
from app.errors import RequestInvalid


def test_a_split_data_frame_is_the_table_itself() -> None:
    table = {"columns": ["image", "text"], "data": [["i", "t"]], "index": [0]}
    assert to_azure({"dataframe_split": table}) == {"input_data": table}


def test_records_become_rows_in_the_order_in_which_columns_appear() -> None:
    records = [{"text": "a"}, {"text": "b", "image": "i"}]
    table = {"columns": ["text", "image"], "data": [["a", None], ["b", "i"]]}
    assert to_azure({"dataframe_records": records}) == {"input_data": table}


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": ["image", "text"], "data": [[math.nan, "t"]]}},
        {"dataframe_records": [{"image": math.nan, "text": "t"}]},
    ],
)
def test_what_pandas_lacks_is_null(document: dict[str, Any]) -> None:
    assert to_azure(document)["input_data"]["data"] == [[None, "t"]]


def test_no_records_have_the_columns_of_the_schema() -> None:
    assert to_azure({"dataframe_records": []}) == {"input_data": {"columns": ["image", "text"], "data": []}}


def test_rows_of_unknown_columns_are_not_made() -> None:
    """A table with one column per record would have as many cells as the square of their number."""
    table = to_azure({"dataframe_records": [{str(number): "a"} for number in range(100_000)]})["input_data"]
    assert (len(table["columns"]), table["data"]) == (100_000, [])


def test_params_stay() -> None:
    document = {"dataframe_records": [{"text": "t"}], "params": {"normalize": False}}
    assert to_azure(document)["params"] == {"normalize": False}


def test_two_forms_at_once() -> None:
    with pytest.raises(RequestInvalid, match="has dataframe_records and dataframe_split; send only one of them"):
        to_azure({form: [] for form in MLFLOW_FORMS})


@pytest.mark.parametrize("records", [None, {}, ["a"], [{"text": "t"}, None]])
def test_records_that_are_none(records: Any) -> None:
    with pytest.raises(RequestInvalid, match="it must be a list of objects"):
        to_azure({"dataframe_records": records})
