"""OpenAI embeddings API: plain requests, the openai package and LangChain."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from langchain_openai import OpenAIEmbeddings

from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_close, assert_refused, encoded, image_vector, png, text_vector
from tests.support.servers.serving import serving

URI = f"data:image/png;base64,{encoded(png(1))}"


@pytest.fixture(scope="module")
def url(small_release: Path) -> Iterator[str]:
    with serving(small_release, api_keys="key") as url:
        yield f"{url}/v1"


@pytest.fixture
def openai_client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="key", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_the_openai_package(encoding: Any, openai_client: openai.OpenAI, engine: EmbeddingEngine) -> None:
    answer = openai_client.embeddings.create(model="any", input=[TEXT, URI, "mri"], encoding_format=encoding)
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert answer.usage.total_tokens == len(engine.tokenize(TEXT)) + len(engine.tokenize("mri"))
    vectors: list[Any] = [one.embedding for one in answer.data]
    if encoding == "base64":
        vectors = [np.frombuffer(base64.b64decode(vector), "<f4").tolist() for vector in vectors]
    assert_close(np.array(vectors[0], np.float32), text_vector(engine, TEXT))
    assert_close(np.array(vectors[1], np.float32), image_vector(engine, png(1)))


def test_its_own_default_encoding_and_its_list_of_models(openai_client: openai.OpenAI, engine: EmbeddingEngine) -> None:
    (model,) = openai_client.models.list()
    assert openai_client.models.retrieve(model.id) == model
    answer = openai_client.embeddings.create(model=model.id, input=TEXT, dimensions=engine.embedding_size)
    assert answer.model == model.id
    assert_close(np.array(answer.data[0].embedding, np.float32), text_vector(engine, TEXT))


def test_its_exceptions(openai_client: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.BadRequestError, match="token ids") as error:
        openai_client.embeddings.create(model="any", input=[1, 2, 3])
    assert error.value.code == "invalid_request"
    with pytest.raises(openai.NotFoundError, match="No model of this name"):
        openai_client.models.retrieve("gpt")
    with pytest.raises(openai.PermissionDeniedError), openai.OpenAI(base_url=url, api_key="x") as stranger:
        stranger.embeddings.create(model="any", input="a")


def test_langchain(url: str, engine: EmbeddingEngine) -> None:
    embeddings = OpenAIEmbeddings(base_url=url, api_key="key", model="any", check_embedding_ctx_length=False)
    assert_close(np.array(embeddings.embed_query(TEXT), np.float32), text_vector(engine, TEXT))
    vectors = embeddings.embed_documents([TEXT, "mri"])
    assert_close(np.array(vectors[1], np.float32), text_vector(engine, "mri"))


async def first(client: httpx.AsyncClient, **body: Any) -> Any:
    answer = await client.post("/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["data"][0]["embedding"], np.float32)


async def test_an_image_as_infinity_documents_it(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    for image in (URI, encoded(png(1))):
        vector = await first(client, model="any", modality="image", input=[image])
        assert_close(vector, image_vector(engine, png(1)))
    assert_close(await first(client, modality="text", input="data:image/"), text_vector(engine, "data:image/"))


async def test_messages_as_vllm_documents_them(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URI}}]}]
    assert_close(await first(client, messages=image), image_vector(engine, png(1)))
    assert_close(await first(client, messages=[{"role": "user", "content": TEXT}]), text_vector(engine, TEXT))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "input is missing"),
        ([], "a JSON list"),
        ({"input": "a", "messages": []}, "either input or messages"),
        ({"input": []}, "no rows"),
        ({"input": ""}, "input[0]"),
        ({"input": ["a", {}]}, "input[1]"),
        ({"input": [[1, 2]]}, "token ids"),
        ({"input": "a", "dimensions": 3}, "cannot be shortened"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 2}]}, "one part"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "one part"),
        ({"messages": 7}, "messages is wrong: it must be a list"),
        ({"messages": [7]}, "one part"),
    ],
)
async def test_what_is_refused(body: Any, words: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json=body)
    place = {"row": answer.json()["row"]} if "row" in answer.json() else {}
    assert_refused(answer, 400, "invalid_request", words, **place)


async def test_a_bad_image_is_named_by_its_input(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": [TEXT, "data:image/png;base64,AAAA"]})
    assert_refused(answer, 400, "undecodable_image", "Row 1", row=1, column="image")
