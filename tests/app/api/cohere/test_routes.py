"""Cohere's embed API, with plain requests and with the cohere package, and the hosted Premium schema."""

import base64
from typing import Any

import cohere
import httpx
import numpy as np
import pytest

from app.api.cohere.schema import parse_embed, vectors_as
from app.errors import TooManyRows
from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_close, assert_refused, encoded, image_vector, png, text_vector

PATHS = ["/v2/embed", "/providers/microsoft/v2/embed"]
TYPES = ["float", "base64", "int8", "uint8", "binary", "ubinary"]
URI = f"data:image/png;base64,{encoded(png(1))}"
LIMITS = {"max_rows": 2, "embedding_size": 32, "context_length": 77}


@pytest.fixture
def package(client: httpx.AsyncClient) -> cohere.AsyncClientV2:
    """The cohere package, which calls the application in this process."""
    return cohere.AsyncClientV2("key", base_url="http://service", httpx_client=client)


@pytest.mark.parametrize("path", PATHS)
async def test_the_premium_request_and_its_answer(
    path: str, client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    body = {"model": "MedImageInsight-Premium", "texts": [TEXT, "mri"]}
    answer = (await client.post(path, json=body, headers={"x-request-id": "one"})).json()
    (vector, other) = answer.pop("embeddings")["float"]
    assert_close(np.array(vector, np.float32), text_vector(engine, TEXT))
    assert_close(np.array(other, np.float32), text_vector(engine, "mri"))
    tokens = len(engine.tokenize(TEXT)) + len(engine.tokenize("mri"))
    assert answer == {
        "id": "one",
        "texts": [TEXT, "mri"],
        "images": [],
        "meta": {"api_version": {"version": "2"}, "tokens": {"input_tokens": tokens}},
        "response_type": "embeddings_by_type",
    }


async def test_the_cohere_package_embeds_images(package: cohere.AsyncClientV2, engine: EmbeddingEngine) -> None:
    answer = await package.embed(model="any", input_type="image", images=[URI], embedding_types=["float"])
    assert answer.response_type == "embeddings_by_type"
    assert (answer.texts, answer.images) == ([], [])
    assert answer.meta is not None
    assert answer.meta.api_version is not None
    assert answer.embeddings.float_ is not None
    assert_close(np.array(answer.embeddings.float_[0], np.float32), image_vector(engine, png(1)))


async def test_the_cohere_package_reads_every_embedding_type(
    package: cohere.AsyncClientV2, engine: EmbeddingEngine
) -> None:
    found = (
        await package.embed(model="any", input_type="search_query", texts=[TEXT], embedding_types=TYPES)
    ).embeddings
    vector = text_vector(engine, TEXT)
    signs = np.packbits(vector > 0)
    assert found.base64 is not None
    assert_close(np.frombuffer(base64.b64decode(found.base64[0]), "<f4"), vector)
    assert found.ubinary == [signs.tolist()]
    assert found.binary == [(signs.astype(int) - 128).tolist()]
    assert found.int8 is not None
    assert np.abs((np.array(found.int8[0]) + 128) * 0.4 / 255 - 0.2 - vector.clip(-0.2, 0.2)).max() <= 0.4 / 255
    assert found.uint8 == (np.array(found.int8) + 128).tolist()


async def test_inputs_of_both_kinds_keep_their_order(package: cohere.AsyncClientV2, engine: EmbeddingEngine) -> None:
    contents: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": URI}},
        {"type": "text", "text": TEXT},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(png(2))}"}},
    ]
    inputs: Any = [{"content": [content]} for content in contents]
    answer = await package.embed(model="any", input_type="search_document", inputs=inputs)
    assert answer.texts == [TEXT]
    wanted = [image_vector(engine, png(1)), text_vector(engine, TEXT), image_vector(engine, png(2))]
    for vector, right in zip(answer.embeddings.float_ or [], wanted, strict=True):
        assert_close(np.array(vector, np.float32), right)


async def test_the_cohere_package_raises_what_the_server_says(package: cohere.AsyncClientV2) -> None:
    with pytest.raises(cohere.BadRequestError) as error:
        await package.embed(model="any", input_type="image", images=["data:image/png;base64,AAAA"])
    assert error.value.body == {
        "message": error.value.body["message"],
        "code": "undecodable_image",
        "row": 0,
        "column": "image",
    }


async def test_a_long_text_is_cut_unless_truncate_is_none(client: httpx.AsyncClient) -> None:
    body = {"texts": ["short", "long " * 200]}
    for more in ({}, {"truncate": "END"}):
        answer = await client.post("/v2/embed", json=body | more)
        assert (answer.status_code, answer.headers["x-truncated-texts"]) == (200, "1")
    answer = await client.post("/v2/embed", json=body | {"truncate": "NONE"})
    assert (answer.status_code, answer.json()["row"]) == (400, 1), answer.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, 'texts is missing; the smallest body of /v2/embed is {"texts": ["chest x-ray"]}'),
        ({"texts": ["a"], "images": [URI]}, "exactly one of texts, images and inputs"),
        ([], "is a JSON list"),
        ({"texts": []}, "texts is empty"),
        ({"images": []}, "images is empty"),
        ({"inputs": []}, "inputs is empty"),
        ({"texts": "a"}, "texts is wrong"),
        ({"texts": ["a", ""]}, "texts[1] must be a string"),
        ({"images": [7]}, "images[0] must be a string"),
        ({"texts": ["a"], "embedding_types": []}, "embedding_types is wrong"),
        ({"texts": ["a"], "embedding_types": ["float", "int4"]}, "embedding_types.1 is wrong"),
        ({"texts": ["a"], "output_dimension": 3}, "output_dimension must be"),
        ({"texts": ["a"], "truncate": "START"}, "tokenizer cuts only the end"),
        ({"texts": ["a"], "truncate": "MIDDLE"}, "truncate is wrong"),
        ({"texts": ["a"], "max_tokens": 3}, "max_tokens must be at least"),
        ({"inputs": [{"content": [{"type": "text", "text": "a"}] * 2}]}, "inputs[0] must have a content of one part"),
        ({"inputs": [{"content": [{"type": "text", "text": ""}]}]}, "inputs[0] must have a content of one part"),
        ({"inputs": [{"content": [{"type": "audio"}]}]}, "inputs[0] must have a content of one part"),
        ({"inputs": [7]}, "inputs[0] must have a content of one part"),
    ],
)
async def test_what_is_refused(body: Any, words: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/v2/embed", json=body)
    place = {"row": answer.json()["row"]} if "row" in answer.json() else {}
    assert_refused(answer, 400, "invalid_request", words, **place)


@pytest.mark.parametrize("body", [{"texts": ["a"] * 3}, {"inputs": [{"content": [{"type": "text", "text": "a"}]}] * 3}])
def test_more_items_than_allowed_are_refused(body: Any) -> None:
    with pytest.raises(TooManyRows, match="has 3 entries, at most 2"):
        parse_embed(body, **LIMITS)


def test_every_type_is_answered_once() -> None:
    _, types = parse_embed({"texts": ["a"], "embedding_types": ["int8", "float", "int8"]}, **LIMITS)
    assert types == ["int8", "float"]
    assert parse_embed({"texts": ["a"], "embedding_types": None}, **LIMITS)[1] == ["float"]


def test_unsigned_numbers_are_larger_by_128() -> None:
    features = np.array([[-0.2, 0.2, 1, -1, 0.001, -0.001, 0.1, -0.1]], np.float32)
    assert vectors_as("uint8", features).tolist() == [[0, 255, 255, 0, 128, 127, 191, 64]]
    assert vectors_as("ubinary", features).tolist() == [[0b01101010]]


async def test_a_full_queue_refuses_the_whole_request(engine: EmbeddingEngine) -> None:
    app = create_app(Settings(queue_size=2, max_rows=2), LoadedModel(engine, imports_s=0.0))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            with app.state.service.admission.reserve(1):
                answer = await client.post("/v2/embed", json={"texts": ["a", "b"]})
                assert_refused(answer, 429, "queue_full", "room for 1 rows")
            assert (await client.post("/v2/embed", json={"texts": ["a", "b"]})).status_code == 200
