"""MLflow's request schemas on `/invocations`, written by hand and sent by MLflow's client."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_close, assert_refused, encoded, image_vector, png, text_vector
from tests.support.servers.serving import serving

IMAGE = encoded(png(1))


@pytest.fixture(scope="module")
def scoring(small_release: Path) -> Iterator[ScoringServerClient]:
    with serving(small_release) as url:
        address = urlsplit(url)
        yield ScoringServerClient(address.hostname, address.port)


def test_mlflows_own_client(scoring: ScoringServerClient, engine: EmbeddingEngine) -> None:
    scoring.wait_server_ready(timeout=5)
    frame = pd.DataFrame({"image": [IMAGE, None], "text": [None, TEXT]})
    answer = scoring.invoke(frame, params={"get_scaling_factor": False})
    predictions = answer.get_predictions(predictions_format="dataframe")
    assert list(predictions.columns) == ["image_features", "text_features"]
    assert_close(np.array(predictions["image_features"][0][0], np.float32), image_vector(engine, png(1)))
    assert_close(np.array(predictions["text_features"][1][0], np.float32), text_vector(engine, TEXT))


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["text", "image"], "index": [7], "data": [[TEXT, IMAGE]]}},
        {"dataframe_records": [{"text": TEXT, "image": IMAGE}], "params": {}},
    ],
)
async def test_both_schemas(body: Any, client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    answer = (await client.post("/invocations", json=body)).json()
    (row,) = answer["predictions"]
    assert_close(np.array(row["text_features"][0], np.float32), text_vector(engine, TEXT))
    assert_close(np.array(row["image_features"][0], np.float32), image_vector(engine, png(1)))
    assert list(answer) == ["predictions"]


async def test_records_may_lack_a_column(client: httpx.AsyncClient) -> None:
    body = {"dataframe_records": [{"text": TEXT}, {"image": IMAGE}]}
    rows = (await client.post("/invocations", json=body)).json()["predictions"]
    assert ["image_features" in row for row in rows] == [False, True]


async def test_the_azure_schema_is_answered_the_azure_way(client: httpx.AsyncClient) -> None:
    body = {"input_data": {"columns": ["text"], "data": [[TEXT]]}}
    assert isinstance((await client.post("/invocations", json=body)).json(), list)


@pytest.mark.parametrize(
    ("body", "words", "place"),
    [
        ({"dataframe_split": {}, "dataframe_records": []}, "send only one of them", {}),
        ({"dataframe_split": 7}, "dataframe_split is wrong: it must be an object", {}),
        ({"dataframe_records": [7]}, "dataframe_records.0 is wrong: it must be an object", {"row": 0}),
        ({"inputs": [TEXT]}, "input_data is missing; the smallest body of /invocations is", {}),
        ({"instances": [TEXT]}, "input_data is missing; the smallest body of /invocations is", {}),
    ],
)
async def test_refused_bodies(body: Any, words: str, place: dict[str, Any], client: httpx.AsyncClient) -> None:
    assert_refused(await client.post("/invocations", json=body), 400, "invalid_request", words, **place)
