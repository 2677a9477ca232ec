"""Heads of a request's own labels: which are kept for later requests, and which rows they count as."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.app.api.classify.made_heads import LABELS, classified, images
from tests.support.samples import assert_refused, png

FILE = png(1)


@pytest.mark.parametrize(
    ("labels", "count"),
    [
        pytest.param({"a" * 1900: "mri", "b": "ct"}, 2, id="a name"),
        pytest.param({"a" * 2000: "mri", "b": "ct"}, 0, id="a long name"),
        pytest.param({"中" * 1900: "mri", "b": "ct"}, 2, id="a Chinese name"),
        pytest.param({"a": ["x" * 500, "y" * 500, "z" * 1000], "b": "ct"}, 0, id="long texts"),
        pytest.param({"a": {"present": "x", "absent": "y" * 2000}, "b": "ct"}, 0, id="a long negative"),
        pytest.param({"a": [f"text {number}" for number in range(200)], "b": "ct"}, 0, id="many texts"),
    ],
)
async def test_heads_are_kept_unless_their_names_and_texts_have_more_than_1000_characters_per_label(
    labels: Any, count: int, client: httpx.AsyncClient, app: FastAPI
) -> None:
    for _ in range(2):
        await classified(client, FILE, labels=labels)
    assert app.state.service.model.label_heads.currsize == count


async def test_kept_labels_take_no_rows_of_the_queue(engine: EmbeddingEngine) -> None:
    app = create_app(Settings(max_rows=3, queue_size=3), LoadedModel(engine, 0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        await classified(client, FILE, labels=LABELS)
        with app.state.service.admission.reserve(2):
            await classified(client, FILE, labels=LABELS)
            answer = await client.post("/classify", json=images(FILE, labels=["a", "b"]))
            assert_refused(answer, 429, "queue_full", "The queue has room for 1 rows, the request has 2")
