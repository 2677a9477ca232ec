"""Routes that embed, with every form of request and answer that clients of the Azure endpoint use."""

from typing import Any

import httpx
import numpy as np
import pytest

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from model.imaging.preprocessing import Standardization
from tests.support.held_engine import HeldEngine
from tests.support.samples import (
    TEXT,
    assert_close,
    assert_refused,
    assert_text_vectors,
    encoded,
    image_vector,
    picture,
    png,
    saved,
    table,
    text_vector,
    vectors,
)

IMAGE = encoded(png())
SCALE = 4.513362407684326  # raw; clients apply exp()
BOTH = ["image", "text"]
ROUTES = ["/embed", "/score", "/invocations"]


@pytest.mark.parametrize("path", ROUTES)
async def test_the_azure_request_and_its_answer(path: str, client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    body = {
        "input_data": {"columns": ["image", "text"], "index": [0], "data": [[IMAGE, TEXT]]},
        "params": {"get_scaling_factor": True},
    }
    answer = await client.post(path, json=body)
    assert answer.headers["content-type"] == "application/json"
    (row,) = answer.json()
    assert list(row) == ["image_features", "text_features", "scaling_factor"]
    assert row["scaling_factor"] == SCALE == engine.logit_scale
    assert np.shape(row["image_features"]) == np.shape(row["text_features"]) == (1, engine.embedding_size)
    assert_close(vectors(answer, "image_features")[0], image_vector(engine, png()))
    assert_close(vectors(answer, "text_features")[0], text_vector(engine, TEXT))
    assert np.linalg.norm(row["image_features"]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "input_data",
    [
        pytest.param({"columns": ["text", "image"], "data": [[TEXT, IMAGE], ["other", IMAGE]]}, id="other order"),
        pytest.param(
            {"columns": BOTH, "data": [{"text": TEXT, "image": IMAGE}, {"image": IMAGE, "text": "other"}]}, id="objects"
        ),
        pytest.param({"columns": BOTH, "data": [[IMAGE, TEXT], {"image": IMAGE, "text": "other"}]}, id="both kinds"),
        pytest.param({"columns": BOTH, "index": None, "data": [[IMAGE, TEXT], [IMAGE, "other"]]}, id="index null"),
        pytest.param(
            {"columns": BOTH, "index": ["a", 7.5], "data": [[IMAGE, TEXT], [IMAGE, "other"]]}, id="index of scalars"
        ),
    ],
)
async def test_the_same_table_written_otherwise(
    input_data: dict[str, Any], client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    answer = await client.post("/embed", json={"input_data": input_data})
    for vector in vectors(answer, "image_features"):
        assert_close(vector, image_vector(engine, png()))
    for vector, text in zip(vectors(answer, "text_features"), [TEXT, "other"], strict=True):
        assert_close(vector, text_vector(engine, text))


@pytest.mark.parametrize("nothing", ["", None])
async def test_a_longer_list_zipped_with_a_shorter_one(
    nothing: str | None, client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    """One row has an image, and every row has a label of a zero-shot classification."""
    labels = ["No Finding", "Cardiomegaly", "Pneumonia, " * 9]
    rows = [[IMAGE, labels[0]], [nothing, labels[1]], [nothing, labels[2]]]
    answer = await client.post("/score", json=table(BOTH, rows))
    assert [list(row) for row in answer.json()] == [
        ["image_features", "text_features", "scaling_factor"],
        ["text_features", "scaling_factor"],
        ["text_features", "scaling_factor"],
    ]
    for vector, label in zip(vectors(answer, "text_features"), labels, strict=True):
        assert_close(vector, text_vector(engine, label))


async def test_many_rows_come_back_in_their_order(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    labels = [f"{'view ' * (number % 7)}{number}" for number in range(200)]
    answer = await client.post("/embed", json=table(["text"], [[label] for label in labels]))
    for vector, label in zip(vectors(answer, "text_features"), labels, strict=True):
        assert_close(vector, text_vector(engine, label))
    seeds = [3, 1, 2, 1]
    answer = await client.post("/embed", json=table(["image"], [[encoded(png(seed))] for seed in seeds]))
    for vector, seed in zip(vectors(answer, "image_features"), seeds, strict=True):
        assert_close(vector, image_vector(engine, png(seed)))


@pytest.mark.parametrize(
    ("more", "is_there"),
    [
        ({}, True),
        ({"params": None}, True),
        ({"params": {}}, True),
        *(({"params": {"get_scaling_factor": yes}}, True) for yes in (True, "true", "True")),
        *(({"params": {"get_scaling_factor": no}}, False) for no in (False, "false", "False")),
    ],
)
async def test_the_scaling_factor_is_in_every_row_unless_declined(
    more: dict[str, Any], is_there: bool, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/embed", json=table(["text"], [[TEXT], ["other"]], **more))
    assert [row.get("scaling_factor") for row in answer.json()] == [SCALE if is_there else None] * 2


@pytest.mark.parametrize(
    ("params", "standardization"),
    [
        ({}, Standardization(512, 75)),
        ({"image_standardization_image_size": 480}, Standardization(480, 75)),
        ({"image_standardization_jpeg_compression_ratio": 95}, Standardization(512, 95)),
        ({"image_standardization_jpeg_compression_ratio": 0}, None),
        ({"image_standardization_jpeg_compression_ratio": None}, None),
    ],
)
async def test_standardization(
    params: dict[str, Any], standardization: Standardization | None, client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    data = saved(picture(size=(300, 200)))
    answer = await client.post("/embed", json=table(["image"], [[encoded(data)]], params=params))
    assert_close(vectors(answer, "image_features")[0], image_vector(engine, data, standardization))


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON", None])
async def test_content_types_of_a_table(kind: str | None, client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    headers = {"content-type": kind} if kind else {}
    content = b'{"input_data": {"columns": ["text"], "data": [["a"]]}}'
    assert_text_vectors(await client.post("/embed", content=content, headers=headers), engine, ["a"])


async def test_images_by_other_means(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    files = [("files", (f"{seed}.png", png(seed), "image/png")) for seed in range(3)]
    answers = [
        await client.post("/embed/image", json=table(["image"], [[encoded(png(seed))] for seed in range(3)])),
        await client.post("/embed/image", files=files, data={"note": "left alone"}),
        await client.post("/embed/image", content=png(), headers={"content-type": "image/png"}),
        await client.post("/embed/image", content=png(), headers={"content-type": "application/octet-stream"}),
    ]
    for answer, count in zip(answers, [3, 3, 1, 1], strict=True):
        found = vectors(answer, "image_features")
        assert len(found) == count
        for seed, vector in enumerate(found):
            assert_close(vector, image_vector(engine, png(seed)))


async def test_texts_by_other_means(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    plain = {"content-type": "text/plain; charset=utf-8"}
    answers = [
        await client.post("/embed/text", json=table(["text"], [["Röntgen"], [TEXT]])),
        await client.post("/embed/text", json={"texts": ["Röntgen", TEXT]}),
        await client.post("/embed/text", content="Röntgen".encode(), headers=plain),
    ]
    for answer, count in zip(answers, [2, 2, 1], strict=True):
        found = vectors(answer, "text_features")
        assert len(found) == count
        for vector, text in zip(found, ["Röntgen", TEXT], strict=False):
            assert_close(vector, text_vector(engine, text))


@pytest.mark.parametrize(("path", "other"), [("/embed/image", "text"), ("/embed/text", "image")])
async def test_a_route_for_one_kind_refuses_the_column_of_the_other(
    path: str, other: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post(path, json=table([other], [["x"]]))
    assert_refused(answer, 400, "invalid_request", "input_data.columns[0]", path.removeprefix("/embed/"))


@pytest.fixture
def held(engine: EmbeddingEngine) -> HeldEngine:
    return HeldEngine(engine)


async def test_an_answer_that_takes_too_long_is_given_up(held: HeldEngine) -> None:
    app = create_app(Settings(request_timeout_s=0.2), LoadedModel(held, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        with held.holding():
            late = await client.post("/embed", json=table(["text"], [["a"], ["b"]]))
        assert_refused(late, 504, "deadline_exceeded", "longer than 0.2 seconds")
        answer = await client.post("/embed", json=table(["text"], [["a"]]))
        assert_close(vectors(answer, "text_features")[0], text_vector(held, "a"))


async def test_a_failing_device_is_503_with_retry_after(held: HeldEngine) -> None:
    app = create_app(Settings(), LoadedModel(held, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        with held.failing(ValueError("a part of the payload")):
            failed = await client.post("/embed", json=table(["text"], [["a"]]))
        assert_refused(failed, 503, "encoding_failed", "ValueError", row=0, column="text")
        assert int(failed.headers["retry-after"]) >= 1
        assert "payload" not in failed.text
        assert_text_vectors(await client.post("/embed", json=table(["text"], [["a"]])), held, ["a"])
