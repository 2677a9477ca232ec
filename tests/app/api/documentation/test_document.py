"""The OpenAPI document: its examples work, and every error is documented."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from pydantic import SecretStr

from app.api.azure.schema import EmbeddingRow, ErrorBody
from app.api.documentation.document import DESCRIPTION, TITLE
from app.api.error_handlers import STATUS
from app.api.params import ImageParams, Params
from app.api.render.schema import RenderParams
from app.main import create_app
from app.middleware.api_keys import OPEN_ROUTES
from app.settings import Settings
from app.version import VERSION

EMBEDDING_ROUTES = ("/embed", "/score", "/invocations", "/embed/image", "/embed/text")
OTHER_SCHEMAS = ("/v1/embeddings", "/v2/embed", "/providers/microsoft/v2/embed", "/predict", "/encode")
DOCUMENT: dict[str, Any] = create_app(Settings(model="another")).openapi()


def examples(paths: Sequence[str] = EMBEDDING_ROUTES) -> Iterator[Any]:
    for path in paths:
        for kind, content in DOCUMENT["paths"][path]["post"]["requestBody"]["content"].items():
            for name, example in content.get("examples", {}).items():
                yield pytest.param(path, kind, json.dumps(example["value"]), id=f"{path} {name}")
            if "example" in content:
                yield pytest.param(path, kind, content["example"], id=f"{path} {kind}")


def test_the_document_is_openapi() -> None:
    OpenAPI.model_validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)):
        assert name in DOCUMENT["components"]["schemas"]


def test_every_route_of_the_contract_is_documented() -> None:
    probes = {"/health/live", "/health/ready", "/health", "/ping", "/version", "/info"}
    assert set(DOCUMENT["paths"]) >= {*EMBEDDING_ROUTES, *OTHER_SCHEMAS, "/render", *probes}
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            assert operation["summary"]


@pytest.mark.parametrize("path", [*EMBEDDING_ROUTES, *OTHER_SCHEMAS, "/render"])
def test_every_refusal_is_documented_with_its_body(path: str) -> None:
    responses = DOCUMENT["paths"][path]["post"]["responses"]
    statuses = {str(status) for status, _ in STATUS.values()} - {"401", "403", "404"} | {"500"}
    assert set(responses) == statuses | {"200"}
    for status in statuses:
        schema = responses[status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/ErrorBody"}
        assert "x-request-id" in responses[status]["headers"]
        assert ("Retry-After" in responses[status]["headers"]) == (status in ("429", "503"))


def test_keys_are_documented_where_they_are_needed() -> None:
    document = create_app(Settings(api_keys=SecretStr("a"))).openapi()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert ("security" in operation) == (path not in OPEN_ROUTES)
            assert ({"401", "403"} <= set(operation["responses"])) == (path not in OPEN_ROUTES)
    assert "securitySchemes" not in DOCUMENT["components"]


@pytest.mark.parametrize("model", [Params, RenderParams])
def test_params_are_documented_with_their_defaults(model: type[ImageParams]) -> None:
    documented = DOCUMENT["components"]["schemas"][model.__name__]["properties"]
    assert {name: field["default"] for name, field in documented.items()} == model().model_dump()
    assert all(field["description"] for field in documented.values())


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


async def test_the_picture_of_render_is_documented_and_its_example_works(client: httpx.AsyncClient) -> None:
    operation = DOCUMENT["paths"]["/render"]["post"]
    answered = operation["responses"]["200"]
    assert answered["content"] == {"image/png": {"schema": {"type": "string", "format": "binary"}}}
    assert answered["headers"].keys() == {"x-frames"}
    example = operation["requestBody"]["content"]["application/json"]["examples"]["image"]["value"]
    answer = await client.post("/render", json=example)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answered["headers"].keys() <= answer.headers.keys()


async def test_a_refusal_is_of_the_documented_shape(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json={"input_data": {"columns": ["text"], "data": [[1]]}})
    assert ErrorBody.model_validate(answer.json(), strict=True).row == 0


@pytest.mark.parametrize("path", ["/openapi.json", "/swagger.json", "/swagger.json?version=3"])
async def test_the_document_is_served_under_both_names(path: str, client: httpx.AsyncClient) -> None:
    assert (await client.get(path)).json() == DOCUMENT


async def test_azures_swagger_of_version_2(client: httpx.AsyncClient) -> None:
    document = (await client.get("/swagger.json?version=2")).json()
    assert document["swagger"] == "2.0"
    assert document["info"] == {"title": TITLE, "description": DESCRIPTION, "version": VERSION}
    assert document["paths"].keys() == {"/", "/score"}
    answer = await client.post("/score", json=document["definitions"]["ServiceInput"]["example"])
    assert answer.status_code == 200
    refusal = await client.get("/swagger.json?version=4")
    assert (refusal.status_code, refusal.json()["code"]) == (400, "invalid_request")
