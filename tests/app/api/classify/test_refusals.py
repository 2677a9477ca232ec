"""What `/classify` refuses: each in one sentence that says what would be right."""

import json
from typing import Any

import httpx
import pytest

from app.api.classify.scoring import BYTES_PER_ENTRY, check_answer_size
from app.errors import TooManyRows
from model.engine import EmbeddingEngine
from tests.app.api.classify.made_heads import (
    LABELS,
    NO_JPEG,
    images,
    linear_head,
    serving_heads,
    zero_shot_head,
)
from tests.support.samples import assert_refused, damaged, png

IMAGE = png(1)
HEAD_NAMES = "params.head must be the name of a head, or a list of names, at least one."
WRONG_HEADS: list[Any] = [[], ["a", 5], 5, {}]
NEGATIVES = {"a": {"present": ["x", "y"], "absent": "z"}, "b": {"present": "x", "absent": "long " * 200}}


@pytest.mark.parametrize(
    ("params", "status", "code", "sentence", "place"),
    [
        ({}, 400, "invalid_request", "neither params.head nor params.labels; send one of them; no head is loaded", {}),
        ({"labels": []}, 400, "invalid_request", "params.labels is empty", {}),
        ({"labels": ["a", "a"]}, 400, "invalid_request", "repeats", {"row": 1, "column": "labels"}),
        ({"labels": ["a", 7]}, 400, "invalid_request", "a text that is not blank", {"row": 1, "column": "labels"}),
        ({"labels": {"a": 7}}, 400, "invalid_request", "label 0: its value", {"row": 0, "column": "labels"}),
        ({"labels": [str(n) for n in range(10_000)]}, 413, "too_many_rows", "has 10,000 labels, at most 2,000", {}),
        (
            {"labels": LABELS, "template": "scan"},
            400,
            "invalid_request",
            "params.template must have {} exactly once",
            {},
        ),
        ({"labels": LABELS, "template": "{}" + "x" * 1000}, 400, "invalid_request", "params.template is wrong", {}),
        ({"labels": LABELS, "top_k": 0}, 400, "invalid_request", "params.top_k is wrong", {}),
        ({"labels": LABELS, "top_k": -1}, 400, "invalid_request", "params.top_k is wrong", {}),
        ({"labels": LABELS, "top_k": 1.5}, 400, "invalid_request", "params.top_k is wrong", {}),
        ({"labels": LABELS, "frames": "all"}, 400, "invalid_request", "choose it with frame instead of frames", {}),
        ({"labels": LABELS, "head": "chest"}, 400, "invalid_request", "both params.head and params.labels", {}),
        ({"labels": LABELS, "multi_label": True}, 400, "invalid_request", "label 0 has no texts for its absence", {}),
        ({"head": "chest"}, 404, "head_unknown", "params.head is not a loaded head; no head is loaded", {}),
        *[({"head": head}, 400, "invalid_request", HEAD_NAMES, {}) for head in WRONG_HEADS],
        ({"template": "{}."}, 400, "invalid_request", "params.template shapes params.labels", {}),
        (
            {"labels": ["a", "long " * 200], "truncate": False},
            400,
            "text_over_context",
            "params.labels[1]: the text has 802 tokens",
            {"row": 1, "column": "labels"},
        ),
        (
            {"labels": ["a", "\ud800"]},
            400,
            "invalid_text",
            "labels[1]: the text contains half of a surrogate pair",
            {"row": 1, "column": "labels"},
        ),
        (
            {"labels": ["a", "x" * 200_001]},
            413,
            "text_too_long",
            "labels[1]: the text has 200,001 characters",
            {"row": 1, "column": "labels"},
        ),
        (
            {"labels": {"a": ["x", "y", "z"], "b": "long " * 200}, "truncate": False},
            400,
            "text_over_context",
            "params.labels, label 1: the text has 802 tokens",
            {"row": 1, "column": "labels"},
        ),
        (
            {"labels": NEGATIVES, "truncate": False, "multi_label": True},
            400,
            "text_over_context",
            "params.labels, label 1: the text has 802 tokens",
            {"row": 1, "column": "labels"},
        ),
    ],
    ids=lambda value: next(iter(value), "nothing") if isinstance(value, dict) else None,
)
async def test_a_wrong_parameter_is_refused(
    params: dict[str, Any], status: int, code: str, sentence: str, place: dict[str, Any], client: httpx.AsyncClient
) -> None:
    body = json.dumps(images(IMAGE, **params))  # httpx itself refuses half of a surrogate pair
    answer = await client.post("/classify", content=body, headers={"content-type": "application/json"})
    assert_refused(answer, status, code, sentence, **place)


async def test_an_unknown_head_is_answered_with_the_names_of_those_loaded(engine: EmbeddingEngine) -> None:
    head = zero_shot_head(engine)
    async with serving_heads(engine, {"chest": head, "modality": head}) as client:
        for asked, place in (("../chest", "params.head is"), (["chest", "bone"], "params.head[1] is")):
            answer = await client.post("/classify", json=images(IMAGE, head=asked))
            assert_refused(answer, 404, "head_unknown", place, "loaded are chest, modality.")
            assert "bone" not in answer.text
        answer = await client.post("/classify", json=images(IMAGE, head=["chest", "chest"]))
        assert_refused(answer, 400, "invalid_request", "params.head[1] repeats")
        assert_refused(await client.post("/classify", json=images(IMAGE)), 400, "invalid_request", "loaded are chest")


@pytest.mark.parametrize("multi_label", [True, False])
async def test_multi_label_is_refused_where_the_head_has_no_such_scores(
    multi_label: bool, engine: EmbeddingEngine
) -> None:
    heads = {
        "chest": zero_shot_head(engine),
        "softmax": linear_head(engine, "softmax"),
        "sigmoid": linear_head(engine, "sigmoid"),
        "age": linear_head(engine, "identity", ["age_months"]),
    }
    refused = {"chest", "softmax", "age"} if multi_label else {"sigmoid", "age"}
    async with serving_heads(engine, heads) as client:
        for name in heads:
            answer = await client.post("/classify", json=images(IMAGE, head=name, multi_label=multi_label))
            if name in refused:
                assert_refused(answer, 400, "invalid_request", f"Head {name}: the head ", "leave multi_label out")
            else:
                assert answer.status_code == 200


async def test_a_bad_row_refuses_the_request_by_default(client: httpx.AsyncClient) -> None:
    answer = await client.post("/classify", json=images(IMAGE, damaged(), labels=LABELS))
    assert_refused(answer, 400, "undecodable_image", "Row 1, column image", row=1, column="image")


async def test_heads_of_several_preprocessings_make_more_rows(engine: EmbeddingEngine) -> None:
    heads = {"a": zero_shot_head(engine), "b": zero_shot_head(engine, preprocessing=NO_JPEG)}
    async with serving_heads(engine, heads, max_rows=3, queue_size=3) as client:
        answer = await client.post("/classify", json=images(IMAGE, IMAGE, head=["a", "b"]))
        assert_refused(answer, 413, "too_many_rows", "2 different preprocessings, which make 4 rows; at most 3")
        assert (await client.post("/classify", json=images(IMAGE, head=["a", "b"]))).status_code == 200


async def test_an_answer_that_would_be_too_large_is_refused(engine: EmbeddingEngine) -> None:
    head = linear_head(engine, "sigmoid", [f"label {number}" for number in range(200)])
    async with serving_heads(engine, {"large": head}, max_body_bytes=10_000) as client:
        answer = await client.post("/classify", json=images(IMAGE))
        assert_refused(answer, 413, "too_many_rows", "The answer would have about 16,090 bytes, at most 10,000")
        assert (await client.post("/classify", json=images(IMAGE, top_k=100))).status_code == 200


@pytest.mark.parametrize(("label", "size"), [("x", 3), ("中", 5), ("\x01", 8)], ids=ascii)
def test_the_size_of_an_answer_is_counted_in_bytes(label: str, size: int) -> None:
    """A Chinese character has three bytes, a control character is written with six."""
    check_answer_size(10, [[label]], None, 10 * (size + BYTES_PER_ENTRY))
    with pytest.raises(TooManyRows, match=f"about {10 * (size + BYTES_PER_ENTRY):,} bytes"):
        check_answer_size(10, [[label]], None, 10 * (size + BYTES_PER_ENTRY) - 1)


async def test_texts_of_a_label_that_cancel_each_other_are_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.evaluation.zero_shot.SHORTEST_MEAN", 2.0)
    answer = await client.post("/classify", json=images(IMAGE, labels={"a": ["private words", "x"], "b": "y"}))
    assert_refused(answer, 400, "invalid_request", "the texts of a label cancel each other")
    assert "private" not in answer.text


async def test_a_single_label_is_refused_unless_it_has_negatives(client: httpx.AsyncClient) -> None:
    answer = await client.post("/classify", json=images(IMAGE, labels=["a"]))
    assert_refused(answer, 400, "invalid_request", "single label", "at least two labels")
    labels = {"a": {"present": "a", "absent": "b"}}
    answer = await client.post("/classify", json=images(IMAGE, labels=labels, multi_label=True))
    assert [entry["label"] for entry in answer.json()[0]] == ["a"]


async def test_a_body_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/classify", content=b"x", headers={"content-type": "text/plain"})
    assert_refused(answer, 415, "unsupported_content_type", "none of application/json, image/*")
