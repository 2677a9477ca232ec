"""The examples of the OpenAPI document: requests that work, and answers in the form of the real ones."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from app.api.azure.schema import EmbeddingRow
from app.api.classify.catalogue import LabelCatalogue
from app.api.classify.schema import HeadList
from tests.app.api.documentation.documented import DOCUMENT, EMBEDDING_ROUTES, OPERATIONS, OTHER_SCHEMAS

KEYED: dict[str, type[BaseModel]] = {"/heads": HeadList, "/labels": LabelCatalogue}


def examples(paths: Sequence[str] = EMBEDDING_ROUTES) -> Iterator[Any]:
    for path in paths:
        for kind, content in DOCUMENT["paths"][path]["post"]["requestBody"]["content"].items():
            for name, example in content.get("examples", {}).items():
                yield pytest.param(path, kind, json.dumps(example["value"]), id=f"{path} {name}")
            if "example" in content:
                yield pytest.param(path, kind, content["example"], id=f"{path} {kind}")


@pytest.mark.parametrize("path", EMBEDDING_ROUTES)
def test_every_route_that_embeds_has_an_example(path: str) -> None:
    assert path in {example.values[0] for example in examples()}


@pytest.mark.parametrize(("path", "kind", "content"), list(examples()))
async def test_every_documented_example_works(path: str, kind: str, content: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(path, content=content.encode(), headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    rows = answer.json()["predictions"] if "dataframe_split" in content else answer.json()
    for row in rows:
        assert EmbeddingRow.model_validate(row, strict=True).model_dump(exclude_unset=True) == row


@pytest.mark.parametrize(("path", "kind", "content"), list(examples(OTHER_SCHEMAS)))
async def test_every_example_of_another_schema_works(
    path: str, kind: str, content: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post(path, content=content.encode(), headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    reference = DOCUMENT["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    documented = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]["properties"]
    assert answer.json().keys() == documented.keys()


def shape(value: Any) -> Any:
    """Keys and nesting of a JSON value, with the first entry of each list for all of them."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


@pytest.mark.parametrize("path", [path for _, path in OPERATIONS if path not in ("/render", "/metrics")])
async def test_every_example_of_an_answer_has_the_form_of_the_real_answer(path: str, client: httpx.AsyncClient) -> None:
    (operation,) = DOCUMENT["paths"][path].values()
    (example,) = operation["responses"]["200"]["content"]["application/json"]["examples"].values()
    if "requestBody" in operation:
        sent = next(iter(operation["requestBody"]["content"]["application/json"]["examples"].values()))["value"]
        answer = await client.post(path, json=sent)
    else:
        answer = await client.get(path.replace("{name}", "2024.09.27"))
    assert answer.status_code == 200, answer.text
    if path in KEYED:  # the keys are names of the server's own
        KEYED[path].model_validate(example["value"], strict=True)
        return
    assert shape(answer.json()) == shape(example["value"])


async def test_the_picture_of_render_is_documented_and_its_example_works(client: httpx.AsyncClient) -> None:
    operation = DOCUMENT["paths"]["/render"]["post"]
    answered = operation["responses"]["200"]
    assert list(answered["content"]) == ["image/png", "application/octet-stream"]
    example = operation["requestBody"]["content"]["application/json"]["examples"]["image"]["value"]
    for accept, kind in (("*/*", "image/png"), ("application/octet-stream", "application/octet-stream")):
        answer = await client.post("/render", json=example, headers={"accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.content.startswith(b"\x89PNG")
        assert {"x-frames", "x-request-id"} <= answered["headers"].keys() & answer.headers.keys()
