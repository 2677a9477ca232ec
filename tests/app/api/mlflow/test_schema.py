"""Parsing of MLflow's two forms of a data frame. test_mlflow_clients.py tests MLflow's own client."""

import math
from typing import Any

import pytest

from app.api.embed_job import EmbedJob
from app.api.mlflow.schema import MLFLOW_FORMS, parse_data_frame
from app.errors import RequestInvalid, TooManyRows
from app.inference.items import Item


def parsed(**document: Any) -> EmbedJob:
    return parse_data_frame(document, max_rows=3)


def test_a_split_data_frame_has_the_columns_in_any_order() -> None:
    job = parsed(dataframe_split={"columns": ["text", "image"], "data": [["t", "i"], ["u", None]], "index": [7, 8]})
    assert (job.row_count, job.images, job.texts) == (2, [Item(0, "i")], [Item(0, "t"), Item(1, "u")])


def test_records_may_lack_a_column() -> None:
    job = parsed(dataframe_records=[{"text": "a"}, {"image": "i"}])
    assert (job.row_count, job.images, job.texts) == (2, [Item(1, "i")], [Item(0, "a")])


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": ["image", "text"], "data": [[math.nan, "t"]]}},
        {"dataframe_records": [{"image": math.nan, "text": "t"}]},
    ],
)
def test_nan_is_a_missing_value(document: dict[str, Any]) -> None:
    job = parsed(**document)
    assert (job.images, job.texts) == ([], [Item(0, "t")])


def test_params_are_parsed_and_unknown_ones_are_noted() -> None:
    job = parsed(dataframe_records=[{"text": "t"}], params={"normalize": False, "colour": 1})
    assert (job.params.normalize, job.ignored_params) == (False, ("colour",))


def test_two_forms_at_once_are_refused() -> None:
    with pytest.raises(RequestInvalid, match="has dataframe_records and dataframe_split; send only one of them"):
        parsed(**{form: [] for form in MLFLOW_FORMS})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"dataframe_split": 7}, "dataframe_split is wrong: it must be an object"),
        ({"dataframe_split": {"columns": ["text"]}}, "dataframe_split.data is missing"),
        ({"dataframe_split": {"columns": ["age"], "data": [[7]]}}, r"dataframe_split.columns\[0\] is not a column"),
        ({"dataframe_records": None}, "dataframe_records is wrong: input should be a valid list"),
        ({"dataframe_records": {}}, "dataframe_records is wrong: input should be a valid list"),
        ({"dataframe_records": [{"text": "t"}, None]}, "dataframe_records.1 is wrong: it must be an object"),
        ({"dataframe_records": [{"text": "t"}, {"age": 7}]}, "Row 1 has a key that is not a column"),
        ({"dataframe_records": [{"text": 7}]}, "Row 0, column text: the value must be a string or null"),
        ({"dataframe_records": []}, "The request has no rows"),
    ],
)
def test_an_error_names_the_place_in_the_form_that_was_sent(document: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestInvalid, match=message):
        parsed(**document)


def test_the_number_of_rows_is_limited() -> None:
    with pytest.raises(TooManyRows):
        parsed(dataframe_records=[{"text": "t"}] * 4)
