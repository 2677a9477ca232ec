"""Output formats: the same vectors in every format, each with its row and kind."""

import base64
import io
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

from app.api.output_formats import ARROW, JSON, NPY, NPZ, accepted_format, quantize
from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_refused, encoded, png, table

IMAGE = encoded(png())
ROWS = [[IMAGE, TEXT], [None, "mri brain"], [IMAGE, None]]
BODY = table(["image", "text"], ROWS)


@pytest.fixture
def app(engine: EmbeddingEngine) -> FastAPI:
    """An application that computes one batch at a time.

    The last bits of a vector depend on the number of threads, and these tests compare every bit.
    """
    return create_app(Settings(concurrent_batches=1), LoadedModel(engine, imports_s=0.0))


async def plain(client: httpx.AsyncClient) -> dict[tuple[int, str], NDArray[np.float32]]:
    """Vectors of the default answer, by row and kind."""
    answer = await client.post("/embed", json=BODY)
    return {
        (number, name.removesuffix("_features")): np.array(value[0], dtype=np.float32)
        for number, row in enumerate(answer.json())
        for name, value in row.items()
        if name.endswith("_features")
    }


async def post(client: httpx.AsyncClient, accept: str = "*/*", **params: Any) -> httpx.Response:
    answer = await client.post("/embed", json=BODY | {"params": params}, headers={"accept": accept})
    assert answer.status_code == 200, answer.text
    return answer


async def test_npy(client: httpx.AsyncClient) -> None:
    answer = await post(client, NPY)
    assert answer.headers["content-type"] == NPY
    array = np.load(io.BytesIO(answer.content))
    found = {(int(one["row"]), str(one["kind"])): one["embedding"] for one in array}
    wanted = await plain(client)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)
    assert float(answer.headers["x-scaling-factor"]) > 0


async def test_npz(client: httpx.AsyncClient) -> None:
    answer = await post(client, NPZ)
    arrays = np.load(io.BytesIO(answer.content))
    wanted = await plain(client)
    found = {
        (int(row), kind): vector
        for kind in ("image", "text")
        for row, vector in zip(arrays[f"{kind}_rows"], arrays[f"{kind}_features"], strict=True)
    }
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)
    assert float(arrays["scaling_factor"]) == float(answer.headers["x-scaling-factor"])


async def test_arrow(client: httpx.AsyncClient) -> None:
    answer = await post(client, ARROW)
    rows = pa.ipc.open_stream(answer.content).read_all()
    assert rows.schema.names == ["row", "kind", "embedding"]
    assert b"scaling_factor" in rows.schema.metadata
    wanted = await plain(client)
    found = {(row["row"], row["kind"]): np.array(row["embedding"], np.float32) for row in rows.to_pylist()}
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)


async def test_base64_is_the_memory_of_the_vector(client: httpx.AsyncClient) -> None:
    answer = await post(client, encoding_format="base64")
    vector = np.frombuffer(base64.b64decode(answer.json()[1]["text_features"][0]), dtype="<f4")
    assert np.array_equal(vector, (await plain(client))[1, "text"])


@pytest.mark.parametrize("output_dtype", ["float16", "int8", "binary"])
async def test_smaller_numbers(output_dtype: str, client: httpx.AsyncClient) -> None:
    vector = (await plain(client))[1, "text"]
    wanted = quantize(vector[np.newaxis], output_dtype)[0]
    numbers = (await post(client, output_dtype=output_dtype)).json()[1]["text_features"][0]
    packed = (await post(client, output_dtype=output_dtype, encoding_format="base64")).json()[1]["text_features"][0]
    array = np.load(io.BytesIO((await post(client, NPY, output_dtype=output_dtype)).content))
    assert np.array_equal(np.array(numbers, wanted.dtype), wanted)
    assert np.array_equal(np.frombuffer(base64.b64decode(packed), wanted.dtype), wanted)
    assert array["embedding"].dtype == wanted.dtype


def test_int8_has_256_steps_in_a_fixed_range() -> None:
    vectors = np.array([[-0.2, 0.0, 0.1, 0.2, -1.0, 1.0]], dtype=np.float32)
    assert quantize(vectors, "int8").tolist() == [[-128, 0, 63, 127, -128, 127]]
    back = (quantize(vectors, "int8").astype(float) + 128) * (0.4 / 255) - 0.2
    assert np.abs(back - vectors)[0, :4].max() < 0.4 / 255


def test_binary_has_the_signs_of_eight_numbers_in_one() -> None:
    vectors = np.array([[1, -1, 1, 0, -1, -1, -1, 1] + [-1] * 8], dtype=np.float32)
    assert quantize(vectors, "binary").tolist() == [[0b10100001 - 128, -128]]


async def test_projections_without_normalisation(client: httpx.AsyncClient) -> None:
    rows = (await post(client, normalize=False)).json()
    for (row, kind), unit in (await plain(client)).items():
        vector = np.array(rows[row][f"{kind}_features"][0])
        length = np.linalg.norm(vector)
        assert abs(length - 1) > 0.01
        assert np.abs(vector / length - unit).max() < 1e-5


async def test_int8_of_projections_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json=BODY | {"params": {"normalize": False, "output_dtype": "int8"}})
    assert_refused(answer, 400, "invalid_request", "params", "output_dtype int8 needs unit vectors")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/html, image/png", JSON),
        ("application/json, application/x-npy;q=0.9", JSON),
        ("application/json;q=0.1, Application/X-NPY", NPY),
        ("application/x-npz;q=0.5, */*;q=0.1", NPZ),
        ("application/x-npy;q=0", JSON),
        ("application/x-npy;q=nonsense", JSON),
        (f"{ARROW}; charset=binary", ARROW),
    ],
)
def test_the_accepted_format_of_highest_quality_is_written(accept: str, media_type: str) -> None:
    assert accepted_format(accept) == media_type
