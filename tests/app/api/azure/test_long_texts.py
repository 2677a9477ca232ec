"""Texts that are longer than the context: cut and counted, or refused with `params.truncate: false`."""

from typing import Any

import httpx
import pytest

from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_refused, assert_text_vectors, encoded, png, table

FITTING, LONG = "chest " * 75, "chest " * 76  # the context has 77 tokens, start and end included


@pytest.mark.parametrize(
    ("texts", "count"), [([TEXT, FITTING], None), ([LONG], "1"), ([LONG, TEXT, LONG, "mri " * 500], "3")]
)
async def test_truncated_texts_are_counted_in_a_header(
    texts: list[str], count: str | None, client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    for _ in range(2):  # the second time, the vectors come from the cache
        answer = await client.post("/embed", json=table(["text"], [[text] for text in texts]))
        assert answer.headers.get("x-truncated-texts") == count
        assert_text_vectors(answer, engine, texts)


async def test_openais_route_counts_them_too(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    answer = await client.post("/v1/embeddings", json={"input": [LONG, TEXT]})
    assert answer.headers["x-truncated-texts"] == "1"
    assert answer.json()["usage"]["total_tokens"] == 77 + len(engine.tokenize(TEXT))
    assert "x-truncated-texts" not in (await client.post("/v1/embeddings", json={"input": [FITTING]})).headers


@pytest.mark.parametrize("accept", ["application/json", "application/x-npz"])
async def test_the_header_comes_with_every_form_of_answer(accept: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/text", json={"texts": [LONG]}, headers={"accept": accept})
    assert (answer.headers["content-type"], answer.headers["x-truncated-texts"]) == (accept, "1")


@pytest.mark.parametrize("truncate", [False, "false", "False"])
async def test_truncate_false_refuses_the_row_with_its_number_of_tokens(
    truncate: Any, client: httpx.AsyncClient
) -> None:
    rows = [[encoded(png()), TEXT], [None, FITTING], [None, LONG], [None, "mri " * 1000]]
    answer = await client.post("/embed", json=table(["image", "text"], rows, params={"truncate": truncate}))
    words = ("Row 2, column text: the text has 78 tokens, the model reads 77",)
    assert_refused(answer, 400, "text_over_context", *words, row=2, column="text")
    assert (await client.get("/info")).json()["counters"]["images"] == 0


async def test_a_text_in_plain_has_the_parameter_in_its_query(client: httpx.AsyncClient) -> None:
    async def post(query: str, text: str) -> httpx.Response:
        return await client.post(f"/embed/text{query}", content=text, headers={"content-type": "text/plain"})

    assert_refused(await post("?truncate=false", LONG), 400, "text_over_context", row=0, column="text")
    assert (await post("?truncate=false", FITTING)).status_code == 200
    assert (await post("", LONG)).headers["x-truncated-texts"] == "1"


async def test_a_text_that_may_not_be_cut_is_a_bad_row_of_its_own(client: httpx.AsyncClient) -> None:
    body = {"texts": [LONG, TEXT, LONG], "params": {"truncate": False, "on_error": "row"}}
    answer = await client.post("/embed/text", json=body)
    assert (answer.headers["x-failed-rows"], answer.headers.get("x-truncated-texts")) == ("2", None)
    assert answer.json()[2]["error"] == {
        "code": "text_over_context",
        "message": "Row 2, column text: the text has 78 tokens, the model reads 77; shorten it, or leave truncate out.",
    }
