"""Requests and answers as the public clients of the Azure endpoint send and read them."""

import base64
from typing import Any

import httpx
import numpy as np
import pytest

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_close, image_vector, png, text_vector

IMAGES, TEXTS = [png(1), png(2), png(3)], [TEXT, "mri brain"]


def row_of(image: bytes | None, text: str | None) -> list[str | None]:
    """A row as pandas and `base64.encodebytes` make it: a line break after every 76 characters."""
    return [None if image is None else base64.encodebytes(image).decode(), text]


async def score(client: httpx.AsyncClient, rows: list[Any], **more: Any) -> list[Any]:
    table = {"columns": ["image", "text"], "index": list(range(len(rows))), "data": rows}
    headers = {"authorization": "Bearer key", "azureml-model-deployment": "medimageinsight-1"}
    answer = await client.post("/score", json={"input_data": table, **more}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()
    return found


@pytest.mark.parametrize("more", [{}, {"params": {}}, {"params": None}, {"params": {"get_scaling_factor": "True"}}])
async def test_a_longer_list_zipped_with_a_shorter_one(
    more: dict[str, Any], client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    rows = await score(
        client, [row_of(IMAGES[0], TEXTS[0]), row_of(IMAGES[1], TEXTS[1]), row_of(IMAGES[2], None)], **more
    )
    for row, image in zip(rows, IMAGES, strict=True):
        assert_close(np.array(row["image_features"], np.float32)[0], image_vector(engine, image))
    for row, text in zip(rows, TEXTS, strict=False):
        assert_close(np.array(row["text_features"], np.float32)[0], text_vector(engine, text))
    assert "text_features" not in rows[2]


async def test_zero_shot_as_the_public_notebooks_compute_it(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    """Texts and images are in separate requests; the scale is read from row 0 of the texts."""
    texts = await score(client, [["", text] for text in TEXTS], params={"get_scaling_factor": True})
    images = await score(client, [row_of(image, "") for image in IMAGES])
    logits = (
        np.exp(texts[0]["scaling_factor"])
        * np.array([row["image_features"][0] for row in images])
        @ np.array([row["text_features"][0] for row in texts]).T
    )
    scale = np.exp(engine.logit_scale)
    right = [[scale * image_vector(engine, image) @ text_vector(engine, text) for text in TEXTS] for image in IMAGES]
    assert np.abs(logits - np.array(right)).max() < 0.01


async def test_headers_of_the_azure_endpoint(client: httpx.AsyncClient) -> None:
    sent = {"x-ms-client-request-id": "client-7", "x-request-id": "7"}
    answer = await client.post("/score", json={}, headers=sent)
    assert answer.headers["x-request-id"] == "7"
    assert answer.headers["x-ms-client-request-id"] == "client-7"
    assert answer.headers["x-ms-request-id"] == "client-7"
    assert answer.headers["content-type"] == "application/json"


async def test_a_wrong_body_is_400_and_not_422(client: httpx.AsyncClient) -> None:
    bodies: list[Any] = [{}, {"input_data": []}, {"inputs": {}}]
    for body in bodies:
        assert (await client.post("/score", json=body)).status_code == 400


async def test_answers_that_clients_retry_say_when(engine: EmbeddingEngine) -> None:
    """Public clients retry only 429 and 5xx."""
    app = create_app(Settings(queue_size=2, max_rows=2), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        with app.state.service.admission.reserve(1):
            table = {"columns": ["text"], "data": [["a"], ["b"]]}
            full = await client.post("/score", json={"input_data": table})
        app.state.service.stopping = True
        stopping = await client.post("/score", json={"input_data": table})
    assert [full.status_code, stopping.status_code] == [429, 503]
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in (full, stopping))


async def test_liveness_is_the_word_that_the_probe_looks_for(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert (answer.status_code, answer.text) == (200, "Healthy")
    assert answer.headers["content-type"].startswith("text/html")
