"""`/classify`: labels of the request, loaded heads, several heads, regression, and the parameters of the answer."""

import io
import json
from typing import Any

import httpx
import numpy as np
import pytest

from model.engine import EmbeddingEngine
from model.heads.head import Head
from model.imaging.preprocessing import Preprocessing, Standardization
from model.imaging.rendering import Rendering
from tests.app.api.classify.made_heads import (
    LABELS,
    NO_JPEG,
    classified,
    images,
    linear_head,
    serving_heads,
    zero_shot_head,
)
from tests.support.held_engine import HeldEngine
from tests.support.samples import damaged, encoded, image_vector, picture, png, saved, table, text_vector

FILES = [png(1), png(2)]
TOLERANCE = 1e-4  # of a score, as vectors of one batch differ by 1e-6


def expected(head: Head, engine: EmbeddingEngine, file: bytes, **options: Any) -> dict[str, float]:
    """Scores by label, computed by the head itself from the engine's vector of a file."""
    vector = image_vector(engine, file, head.preprocessing.standardization)
    return dict(zip(head.labels, head.scores(vector[None], **options)[0].tolist(), strict=True))


def assert_scores(row: Any, right: dict[str, float]) -> None:
    """A row of an answer has these labels and scores, highest score first."""
    assert {entry["label"]: entry["score"] for entry in row} == pytest.approx(right, abs=TOLERANCE)
    scores = [entry["score"] for entry in row]
    assert scores == sorted(scores, reverse=True)


def assert_same(answer: Any, right: Any) -> None:
    """Two answers are the same, but for what the composition of a batch does to a vector."""
    if isinstance(right, float):
        assert answer == pytest.approx(right, abs=TOLERANCE)
    elif isinstance(right, list | dict):
        assert len(answer) == len(right)
        for key in right if isinstance(right, dict) else range(len(right)):
            assert_same(answer[key], right[key])
    else:
        assert answer == right


async def test_labels_of_the_request_are_scored_as_a_softmax_of_cosines(
    client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    answer = await classified(client, *FILES, labels=LABELS)
    assert len(answer) == 2
    for row, file in zip(answer, FILES, strict=True):
        cosines = np.array([image_vector(engine, file) @ text_vector(engine, label) for label in LABELS], np.float64)
        powers = np.exp(np.exp(engine.logit_scale) * cosines)
        assert_scores(row, dict(zip(LABELS, (powers / powers.sum()).tolist(), strict=True)))
        assert sum(entry["score"] for entry in row) == pytest.approx(1)


async def test_a_template_and_several_texts_per_label_make_its_vector(
    client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    (row,) = await classified(client, FILES[0], labels={"a": ["mri", "ct"], "b": "x-ray"}, template="{}.")
    mean = text_vector(engine, "mri.") + text_vector(engine, "ct.")
    vectors = [mean / np.linalg.norm(mean), text_vector(engine, "x-ray.")]
    logits = np.exp(engine.logit_scale) * np.array([image_vector(engine, FILES[0]) @ vector for vector in vectors])
    score = 1 / (1 + np.exp(logits[1] - logits[0]))
    assert_scores(row, {"a": score, "b": 1 - score})


async def test_multi_label_compares_each_label_with_its_negative_text(
    client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    labels = {"mri": {"present": "mri", "absent": "no mri"}, "ct": {"present": "ct", "absent": "no ct"}}
    (row,) = await classified(client, FILES[0], labels=labels, multi_label=True)
    head = zero_shot_head(engine, ["mri", "ct"], absent=["no mri", "no ct"])
    assert_scores(row, expected(head, engine, FILES[0], multi_label=True))


async def test_label_texts_come_from_the_text_cache(engine: EmbeddingEngine) -> None:
    held = HeldEngine(engine)
    async with serving_heads(held, {}) as client:
        first = await classified(client, FILES[0], labels=LABELS)
        seen = held.texts_seen
        assert_same(await classified(client, FILES[0], labels=LABELS), first)
        assert (seen, held.texts_seen) == (len(LABELS), len(LABELS))


async def test_labels_are_kept_only_as_long_as_the_text_cache_holds_as_many(engine: EmbeddingEngine) -> None:
    held = HeldEngine(engine)
    async with serving_heads(held, {}, text_cache_size=2) as client:
        for _ in range(2):
            await classified(client, FILES[0], labels=LABELS)
    assert held.texts_seen > len(LABELS)


async def test_kept_labels_are_not_taken_for_others(client: httpx.AsyncClient) -> None:
    """The same texts, but with the vectors of their absence, refused when too long, or under another name."""
    long = {"a": {"present": "long " * 200, "absent": "no"}, "b": {"present": "ct", "absent": "no ct"}}
    one_label = await classified(client, FILES[0], labels=long)
    each_label = await classified(client, FILES[0], labels=long, multi_label=True)
    assert {entry["score"] for entry in one_label[0]} != {entry["score"] for entry in each_label[0]}
    refused = await client.post("/classify", json=images(FILES[0], labels=long, truncate=False))
    assert refused.json()["code"] == "text_over_context"
    named = await classified(client, FILES[0], labels={"x": long["a"], "y": long["b"]})
    assert {entry["label"] for entry in named[0]} == {"x", "y"}


async def test_a_loaded_head_embeds_no_text(engine: EmbeddingEngine) -> None:
    held, head = HeldEngine(engine), zero_shot_head(engine)
    async with serving_heads(held, {"chest": head, "other": head}) as client:
        for row, file in zip(await classified(client, *FILES, head="chest"), FILES, strict=True):
            assert_scores(row, expected(head, engine, file))
    assert held.texts_seen == 0


async def test_the_only_head_need_not_be_named(engine: EmbeddingEngine) -> None:
    async with serving_heads(engine, {"chest": zero_shot_head(engine)}) as client:
        assert_same(await classified(client, *FILES), await classified(client, *FILES, head="chest"))


async def test_the_head_of_the_model_answers_requests_that_name_none(engine: EmbeddingEngine) -> None:
    own, other = zero_shot_head(engine, ["a", "b"]), zero_shot_head(engine)
    async with serving_heads(engine, {"chest": other}, default=own) as client:
        (row,) = await classified(client, FILES[0])
        assert {entry["label"] for entry in row} == {"a", "b"}
        assert_same(await classified(client, FILES[0], head="default"), [row])


async def test_several_heads_tag_each_image(engine: EmbeddingEngine) -> None:
    modality, finding = zero_shot_head(engine), linear_head(engine, "sigmoid", preprocessing=NO_JPEG)
    async with serving_heads(engine, {"modality": modality, "finding": finding}) as client:
        answer = await classified(client, *FILES, head=["finding", "modality"])
        assert [list(row) for row in answer] == [["finding", "modality"]] * 2
        for row, file in zip(answer, FILES, strict=True):
            assert_scores(row["modality"], expected(modality, engine, file))
            assert_scores(row["finding"], expected(finding, engine, file))
        (alone,) = await classified(client, FILES[0], head=["modality"])
        assert list(alone) == ["modality"]  # a list of one is a list


async def test_a_regression_answers_a_value(engine: EmbeddingEngine) -> None:
    head = linear_head(engine, "identity", ["age_months"])
    async with serving_heads(engine, {"age": head}) as client:
        ((entry,),) = await classified(client, FILES[0], top_k=3)
    value = head.scores(image_vector(engine, FILES[0])[None])[0, 0]
    assert entry == {"label": "age_months", "value": pytest.approx(value, abs=TOLERANCE)}


async def test_scores_are_called_by_the_operating_points_of_the_head(engine: EmbeddingEngine) -> None:
    plain = linear_head(engine, "sigmoid")
    scores = expected(plain, engine, FILES[0])
    low, high = ({"threshold": bound} for bound in (0.0, 1.0))
    thresholds = {
        "nodule": {"sensitivity_90": low, "youden": {"threshold": scores["nodule"] - 0.01}},
        "effusion": {"sensitivity_90": low, "youden": high},
    }
    async with serving_heads(engine, {"chest": linear_head(engine, "sigmoid", thresholds=thresholds)}) as client:
        (row,) = await classified(client, FILES[0])
    assert {entry["label"]: entry["call"] for entry in row} == {"nodule": "positive", "effusion": "possible"}


async def test_top_k_keeps_the_best_labels(client: httpx.AsyncClient) -> None:
    whole = await classified(client, *FILES, labels=LABELS)
    assert_same(await classified(client, *FILES, labels=LABELS, top_k=2), [row[:2] for row in whole])
    assert_same(await classified(client, *FILES, labels=LABELS, top_k=100), whole)


async def test_images_get_the_preprocessing_of_the_head_unless_the_request_says_otherwise(
    engine: EmbeddingEngine,
) -> None:
    plain = zero_shot_head(engine, preprocessing=NO_JPEG)
    small = zero_shot_head(engine, preprocessing=Preprocessing(Standardization(64, 20)))
    async with serving_heads(engine, {"plain": plain, "small": small}) as client:
        assert_scores((await classified(client, FILES[0], head="plain"))[0], expected(plain, engine, FILES[0]))
        assert_scores((await classified(client, FILES[0], head="small"))[0], expected(small, engine, FILES[0]))
        sent = {"image_standardization_jpeg_compression_ratio": 95}
        (row,) = await classified(client, FILES[0], head="small", **sent)
        other = zero_shot_head(engine, preprocessing=Preprocessing(Standardization(64, 95)))
        assert_scores(row, expected(other, engine, FILES[0]))  # the head's size, the request's quality


async def test_an_image_is_embedded_once_per_kind_of_preprocessing(engine: EmbeddingEngine) -> None:
    frame = Preprocessing(rendering=Rendering(frame=0))
    heads = {
        "a": zero_shot_head(engine),
        "b": linear_head(engine, "softmax"),
        "c": zero_shot_head(engine, preprocessing=NO_JPEG),
        "d": linear_head(engine, "sigmoid", preprocessing=frame),
    }
    async with serving_heads(engine, heads) as client:
        await classified(client, FILES[0], head=["a", "b"])
        assert (await client.get("/info")).json()["counters"]["images"] == 1
        await classified(client, FILES[1], head=["a", "b", "c"])
        assert (await client.get("/info")).json()["counters"]["images"] == 3


async def test_a_raw_image_takes_its_parameters_from_the_query(client: httpx.AsyncClient) -> None:
    right = await classified(client, FILES[0], labels=LABELS, top_k=1)
    for query in ({"labels": ", ".join(LABELS)}, {"labels": list(LABELS)}, {"labels": json.dumps(LABELS)}):
        answer = await client.post(
            "/classify", params=query | {"top_k": "1"}, content=FILES[0], headers={"content-type": "image/png"}
        )
        assert_same(answer.json(), right)


async def test_a_form_has_files_and_parameters_of_which_the_query_wins(client: httpx.AsyncClient) -> None:
    right = await classified(client, *FILES, labels=LABELS)
    files = [("files", (f"{number}.png", io.BytesIO(file))) for number, file in enumerate(FILES)]
    by_field = await client.post("/classify", files=files, data={"labels": list(LABELS)})
    assert_same(by_field.json(), right)
    by_query = await client.post(
        "/classify", files=files, data={"labels": ["other", "more"]}, params={"labels": list(LABELS)}
    )
    assert_same(by_query.json(), right)


async def test_a_form_may_have_many_labels(client: httpx.AsyncClient) -> None:
    labels = [f"label {number}" for number in range(40)]
    answer = await client.post("/classify", files={"files": FILES[0]}, data={"labels": labels, "top_k": "3"})
    assert len(answer.json()[0]) == 3


async def test_heads_are_named_in_the_query_too(engine: EmbeddingEngine) -> None:
    heads = {"a": zero_shot_head(engine), "b": linear_head(engine, "sigmoid")}
    async with serving_heads(engine, heads) as client:
        for query, right in (("a", "a"), (["b", "a"], ["b", "a"])):
            answer = await client.post("/classify", params={"head": query}, files={"files": FILES[0]})
            assert_same(answer.json(), await classified(client, FILES[0], head=right))


async def test_many_scores_are_computed_in_a_thread_and_are_the_same(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = await classified(client, *FILES, labels=LABELS)
    monkeypatch.setattr("app.api.classify.execution.INLINE_OPERATIONS", 0)
    assert_same(await classified(client, *FILES, labels=LABELS), right)


async def test_unknown_parameters_are_ignored_and_listed(client: httpx.AsyncClient) -> None:
    body = images(FILES[0], labels=LABELS, get_scaling_factor=True)
    answer = await client.post("/classify", json=body, params={"top_k": "1"})
    assert answer.headers["x-ignored-params"] == "get_scaling_factor, top_k"
    assert len(answer.json()[0]) == 3  # the query is ignored beside a JSON body


async def test_a_bad_row_can_be_answered_in_its_place(engine: EmbeddingEngine) -> None:
    two_frames = saved(picture(1), "TIFF", save_all=True, append_images=[picture(2)])
    second = Preprocessing(rendering=Rendering(frame=1))
    heads = {"a": zero_shot_head(engine), "b": zero_shot_head(engine, preprocessing=second)}
    rows = [[encoded(two_frames)], [""], [encoded(damaged())], [encoded(FILES[0])]]
    async with serving_heads(engine, heads) as client:
        answer = await client.post(
            "/classify", json=table(["image"], rows, params={"head": ["a", "b"], "on_error": "row"})
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-failed-rows"] == "3"
        good, empty, broken, one_frame = answer.json()
        assert list(good) == ["a", "b"]
        assert empty["error"]["message"] == "Row 1 has neither an image nor a text."
        assert broken["error"]["code"] == "undecodable_image"
        assert list(one_frame) == ["error"]  # good for a, but it lacks the frame of b


async def test_a_long_label_text_is_cut_and_counted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/classify", json=images(FILES[0], labels=["mri", "long " * 200]))
    assert answer.headers["x-truncated-texts"] == "1"
