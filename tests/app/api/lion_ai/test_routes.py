"""lion-ai's wrapper: `/predict` and `/encode`, compared with the wrapper's own arithmetic."""

import threading
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from app.api.json_parts import as_json
from app.api.lion_ai.schema import parse_encode, parse_predict
from app.errors import TooManyRows
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_close, assert_refused, encoded, image_vector, png, text_vector

IMAGES = [png(1), png(2)]
LABELS = ["mri", TEXT, "ultrasound", "x-ray"]


def logits_of(engine: EmbeddingEngine) -> Any:
    """The logits as the wrapper computes them: no standardisation, features times features times exp(logit_scale)."""
    images = np.stack([image_vector(engine, image, standardization=None) for image in IMAGES]).astype(np.float64)
    texts = np.stack([text_vector(engine, label) for label in LABELS]).astype(np.float64)
    return np.exp(engine.logit_scale) * images @ texts.T


async def predicted(client: httpx.AsyncClient, **more: Any) -> Any:
    body = {"images": [encoded(image) for image in IMAGES], "labels": LABELS, **more}
    answer = await client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


async def test_probabilities_are_a_softmax_over_the_labels(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    powers = np.exp(logits_of(engine))
    for row, right in zip(await predicted(client), powers / powers.sum(axis=1, keepdims=True), strict=True):
        assert list(row.values()) == sorted(row.values(), reverse=True)
        assert sum(row.values()) == pytest.approx(1)
        assert [row[label] for label in LABELS] == pytest.approx(right.tolist(), abs=1e-3)


async def test_multilabel_is_a_sigmoid_per_label(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    rows = await predicted(client, multilabel=True)
    for row, right in zip(rows, 1 / (1 + np.exp(-logits_of(engine))), strict=True):
        assert list(row.values()) == sorted(row.values(), reverse=True)
        assert [row[label] for label in LABELS] == pytest.approx(right.tolist(), abs=1e-3)


async def test_encode_answers_both_lists(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    body = {"images": [f"data:image/png;base64,{encoded(image)}" for image in IMAGES], "texts": [TEXT]}
    answer = (await client.post("/encode", json=body)).json()
    for vector, image in zip(answer["image_embeddings"], IMAGES, strict=True):
        assert_close(np.array(vector, np.float32), image_vector(engine, image, standardization=None))
    (vector,) = answer["text_embeddings"]
    assert_close(np.array(vector, np.float32), text_vector(engine, TEXT))


async def test_a_long_label_or_text_is_cut_and_counted(client: httpx.AsyncClient) -> None:
    long = "long " * 200
    answer = await client.post("/predict", json={"images": [encoded(png())], "labels": ["short", long]})
    assert answer.headers["x-truncated-texts"] == "1"
    assert (await client.post("/encode", json={"texts": [long, long]})).headers["x-truncated-texts"] == "2"


async def test_encode_answers_null_for_the_list_that_was_not_sent(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/encode", json={"texts": [TEXT], "images": None})).json()
    assert answer["image_embeddings"] is None
    answer = (await client.post("/encode", json={"images": [encoded(png())]})).json()
    assert answer["text_embeddings"] is None


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/predict", {}, "images is missing"),
        ("/predict", {"images": ["a"]}, "labels is missing"),
        ("/predict", {"images": [], "labels": ["a"]}, "images is empty"),
        ("/predict", {"images": ["a"], "labels": []}, "labels is empty"),
        ("/predict", {"images": ["a"], "labels": ["a", ""]}, "labels[1] must be a string"),
        ("/predict", {"images": ["a"], "labels": ["a", "b", "a"]}, "labels[2] repeats an earlier label"),
        ("/predict", {"images": [["a"]], "labels": ["a"]}, "images[0] must be a string"),
        ("/predict", {"images": ["a"], "labels": ["a"], "multilabel": "perhaps"}, "multilabel is wrong"),
        ("/encode", {}, "images is missing; the smallest body of /encode is"),
        ("/encode", {"images": []}, "images is empty"),
        ("/encode", {"texts": ["a", 7]}, "texts[1] must be a string"),
        ("/encode", 7, "is a JSON number"),
    ],
)
async def test_what_is_refused(path: str, body: Any, words: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(path, json=body)
    place = {"row": answer.json()["row"]} if "row" in answer.json() else {}
    assert_refused(answer, 400, "invalid_request", words, **place)


async def test_a_bad_image_is_named_by_its_place(client: httpx.AsyncClient) -> None:
    answer = await client.post("/predict", json={"images": [encoded(png()), "AAAA"], "labels": LABELS})
    assert_refused(answer, 400, "undecodable_image", "Row 1", row=1, column="image")


def test_more_items_than_allowed_are_refused() -> None:
    settings = Settings(max_rows=2, max_labels=3)
    with pytest.raises(TooManyRows, match="images has 3 entries, at most 2"):
        parse_predict({"images": ["a"] * 3, "labels": ["a"]}, settings)
    with pytest.raises(TooManyRows, match="labels has 4 entries, at most 3"):
        parse_predict({"images": ["a"], "labels": LABELS}, settings)
    with pytest.raises(TooManyRows, match="texts has 3 entries, at most 2"):
        parse_encode({"texts": ["a"] * 3}, max_rows=2)


def test_more_labels_than_rows_are_allowed_and_count_as_the_largest_request() -> None:
    job, _ = parse_predict({"images": ["a"], "labels": ["a", "b", "c"]}, Settings(max_rows=2))
    assert (job.row_count, len(job.texts)) == (2, 3)


def test_an_answer_that_repeats_long_labels_for_many_images_is_refused() -> None:
    body = {"images": ["a"] * 1000, "labels": ["a" * 100_000]}
    with pytest.raises(TooManyRows, match="about 100,032,000 bytes"):
        parse_predict(body, Settings())


@pytest.mark.parametrize(("label", "size"), [("中", 35), ("\x01", 38)], ids=ascii)
def test_the_size_of_an_answer_is_counted_in_bytes(label: str, size: int) -> None:
    """A Chinese character has three bytes, a control character is written with six."""
    body = {"images": ["a"] * 10, "labels": [label]}
    assert parse_predict(body, Settings(max_body_bytes=10 * size))
    with pytest.raises(TooManyRows, match=f"about {10 * size:,} bytes"):
        parse_predict(body, Settings(max_body_bytes=10 * size - 1))


async def test_scores_are_written_row_by_row_in_the_thread_of_scores(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def written(row: Any) -> orjson.Fragment:
        threads.append(threading.current_thread().name)
        return as_json(row)

    monkeypatch.setattr("app.api.lion_ai.schema.as_json", written)
    assert len(await predicted(client)) == 2
    assert threads == ["score_0"] * 2
