"""`GET /heads` and the heads in `/info`."""

import httpx

from model.engine import EmbeddingEngine
from tests.app.api.classify.made_heads import LABELS, NO_JPEG, linear_head, model_of, serving_heads, zero_shot_head

POINT = {"threshold": 0.4, "sensitivity": 0.9, "specificity": 0.8}


async def test_without_heads_the_list_is_empty(client: httpx.AsyncClient) -> None:
    assert (await client.get("/heads")).json() == {"heads": []}


async def test_a_head_is_described_with_all_that_a_client_needs(engine: EmbeddingEngine) -> None:
    thresholds = {"nodule": {"sensitivity_90": POINT, "youden": None}}
    finding = linear_head(engine, "sigmoid", thresholds=thresholds, preprocessing=NO_JPEG)
    heads = {"modality": zero_shot_head(engine, absent=LABELS), "finding": finding}
    async with serving_heads(engine, heads) as client:
        modality, card = (await client.get("/heads")).json()["heads"]
        assert (await client.get("/info")).json()["heads"] == ["modality", "finding"]
    assert card == {
        "name": "finding",
        "default": False,
        "kind": "linear",
        "labels": ["nodule", "effusion"],
        "activation": "sigmoid",
        "multi_label": True,
        "thresholds": thresholds,
        "model": model_of(engine),
        "preprocessing": NO_JPEG.params(),
    }
    assert (modality["kind"], modality["activation"], modality["multi_label"]) == ("zero_shot", "softmax", True)


async def test_the_head_that_needs_no_name_is_marked(engine: EmbeddingEngine) -> None:
    head = zero_shot_head(engine)
    async with serving_heads(engine, {"chest": head}) as client:
        assert [card["default"] for card in (await client.get("/heads")).json()["heads"]] == [True]
    async with serving_heads(engine, {"chest": head}, default=linear_head(engine, "softmax")) as client:
        cards = (await client.get("/heads")).json()["heads"]
        assert [(card["name"], card["default"]) for card in cards] == [("default", True), ("chest", False)]
