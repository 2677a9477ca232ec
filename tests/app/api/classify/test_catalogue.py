"""GET /labels: ready sets of labels, each of which /classify takes as it is."""

from typing import Any

import httpx
import pytest

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.checkpoints.release_folder import DEMO_MODEL
from model.data.label_texts import read_label_texts
from model.engine import EmbeddingEngine
from model.heads.catalogue import find_catalogues
from tests.app.api.classify.made_heads import classified
from tests.support.samples import png

KEYS = {"name", "title", "modality", "question", "source", "validated", "labels"}


async def sets_of(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get("/labels")
    assert answer.status_code == httpx.codes.OK, answer.text
    sets: list[dict[str, Any]] = answer.json()["sets"]
    return sets


async def test_the_sets_are_those_of_the_catalogue(client: httpx.AsyncClient) -> None:
    sets = await sets_of(client)
    assert [each["name"] for each in sets] == [entry.name for entry in find_catalogues()]
    assert {frozenset(each) for each in sets} == {frozenset(KEYS)}
    assert all(each["question"].endswith("?") for each in sets)


@pytest.mark.parametrize("name", [entry.name for entry in find_catalogues()])
async def test_classify_takes_a_set_as_it_is(client: httpx.AsyncClient, name: str) -> None:
    labels = next(each["labels"] for each in await sets_of(client) if each["name"] == name)
    (row,) = await classified(client, png(1), labels=labels)
    assert {entry["label"] for entry in row} == set(labels)
    if all("absent" in texts for texts in labels.values()):
        (row,) = await classified(client, png(1), labels=labels, multi_label=True)
        assert {entry["label"] for entry in row} == set(labels)


async def test_the_labels_of_the_demonstration_model_come_first() -> None:
    app = create_app(Settings(), LoadedModel(EmbeddingEngine.load(DEMO_MODEL, device="cpu"), imports_s=0.0))
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        first, *others = await sets_of(client)
        assert [each["name"] for each in others] == [entry.name for entry in find_catalogues()]
        labels = read_label_texts(DEMO_MODEL / "label_texts.yaml")
        assert first["labels"] == {label: [label] for label in labels}
        assert first["name"] == "demonstration-model"
        (row,) = await classified(client, png(1), labels=first["labels"])
        assert {entry["label"] for entry in row} == set(labels)
