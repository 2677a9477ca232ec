"""The OpenAPI document: operations, parameters, answers and errors."""

import json
import re
from collections import Counter

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from pydantic import SecretStr

from app.api.azure.schema import ErrorBody
from app.api.classify.schema import ClassifyParams
from app.api.documentation.document import DESCRIPTION, TITLE
from app.api.documentation.tags import TAGS
from app.api.error_handlers import STATUS
from app.api.params import ImageParams, Params
from app.api.render.schema import RenderParams
from app.main import create_app
from app.middleware.api_keys import OPEN_ROUTES
from app.settings import Settings
from app.version import VERSION
from tests.app.api.documentation.documented import DOCUMENT, EMBEDDING_ROUTES, OPERATIONS, OTHER_SCHEMAS


def test_the_document_is_openapi() -> None:
    OpenAPI.model_validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)):
        assert name in DOCUMENT["components"]["schemas"]


def test_every_route_of_the_contract_is_documented() -> None:
    probes = {"/health/live", "/health/ready", "/health", "/ping", "/version", "/info"}
    assert set(DOCUMENT["paths"]) >= {*EMBEDDING_ROUTES, *OTHER_SCHEMAS, "/render", *probes}
    for operation in OPERATIONS.values():
        assert operation["summary"]


def test_operation_ids_are_stable_because_clients_make_function_names_of_them() -> None:
    ids = {path: operation["operationId"] for (_, path), operation in OPERATIONS.items()}
    assert ids == {
        "/embed": "embed",
        "/embed/image": "embed_image",
        "/embed/text": "embed_text",
        "/score": "score",
        "/invocations": "invocations",
        "/classify": "classify",
        "/heads": "heads",
        "/labels": "labels",
        "/similarity": "similarity",
        "/render": "render",
        "/v1/embeddings": "embeddings",
        "/v1/models": "models",
        "/v1/models/{name}": "model_card",
        "/v2/embed": "cohere_embed",
        "/providers/microsoft/v2/embed": "premium_embed",
        "/predict": "predict",
        "/encode": "encode",
        "/health/live": "live",
        "/health/ready": "ready",
        "/health": "health",
        "/ping": "ping",
        "/version": "version",
        "/info": "info",
        "/metrics": "metrics",
    }
    assert max(Counter(ids.values()).values()) == 1


def test_every_operation_has_one_tag_that_is_described() -> None:
    assert DOCUMENT["tags"] == TAGS
    assert {tag for operation in OPERATIONS.values() for tag in operation["tags"]} == {tag["name"] for tag in TAGS}
    for operation in OPERATIONS.values():
        assert len(operation["tags"]) == 1


def test_the_successful_answer_is_first_and_the_errors_are_two_folded_lists() -> None:
    for operation in OPERATIONS.values():
        assert list(operation["responses"]) == ["200", "4XX", "5XX"]
    refused, failed = DOCUMENT["components"]["responses"].values()
    for status, code in {*STATUS.values(), (404, "not_found"), (405, "method_not_allowed"), (500, "internal_error")}:
        description = (refused if status < 500 else failed)["description"]
        (line,) = re.findall(rf"^\| {status} \|.*$", description, re.MULTILINE)
        assert f"`{code}`" in line
        assert "<details><summary>" in description
    for answer in (refused, failed):
        content = answer["content"]["application/json"]
        assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
        ErrorBody.model_validate(content["example"], strict=True)
        assert answer["headers"].keys() == {"x-request-id", "Retry-After"}


@pytest.mark.parametrize(
    ("path", "model", "left_out"),
    [
        ("/embed", Params, {"frames"}),
        ("/score", Params, {"frames"}),
        ("/invocations", Params, {"frames"}),
        ("/embed/image", Params, {"truncate"}),
        ("/embed/text", Params, {"frames", *ImageParams.model_fields}),
        ("/classify", ClassifyParams, {"frames"}),
        ("/render", RenderParams, {"frames"}),
    ],
)
def test_every_parameter_of_a_query_is_documented(path: str, model: type[ImageParams], left_out: set[str]) -> None:
    parameters = DOCUMENT["paths"][path]["post"]["parameters"]
    queries = {one["name"]: one for one in parameters if one["in"] == "query"}
    assert queries.keys() == model.model_fields.keys() - left_out
    for parameter in queries.values():
        assert parameter["description"]
        assert "default" not in parameter["schema"]  # clients would send it
    assert {one["name"] for one in parameters if one["in"] == "header"} == {"x-request-timeout-ms", "x-request-id"}


def test_parameters_of_a_query_have_the_forms_that_a_query_can_hold() -> None:
    parameters = {one["name"]: one for one in DOCUMENT["paths"]["/classify"]["post"]["parameters"]}
    assert parameters["frame"]["schema"] == {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
    assert parameters["axis"]["schema"] == {"type": "string", "enum": ["axial", "coronal", "sagittal"]}
    assert parameters["dicom_window"]["schema"] == {"type": "string"}
    assert parameters["labels"]["schema"] == parameters["head"]["schema"]
    assert parameters["labels"]["schema"] == {"type": "array", "items": {"type": "string"}}


def test_the_parameters_of_a_heads_images_have_no_default_that_a_client_would_send() -> None:
    documented = DOCUMENT["components"]["schemas"]["ClassifyParams"]["properties"]
    assert {name for name, field in documented.items() if "default" not in field} == ImageParams.model_fields.keys()


def test_the_binary_formats_are_documented() -> None:
    formats = ["application/json", "application/x-npy", "application/x-npz", "application/vnd.apache.arrow.stream"]
    for path in EMBEDDING_ROUTES:
        assert list(DOCUMENT["paths"][path]["post"]["responses"]["200"]["content"]) == formats


def test_keys_are_documented_where_they_are_needed() -> None:
    document = create_app(Settings(api_keys=SecretStr("a"))).openapi()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert ("security" in operation) == (path not in OPEN_ROUTES)
    assert "securitySchemes" not in DOCUMENT["components"]


@pytest.mark.parametrize("model", [Params, RenderParams])
def test_params_are_documented_with_their_defaults(model: type[ImageParams]) -> None:
    documented = DOCUMENT["components"]["schemas"][model.__name__]["properties"]
    assert {name: field["default"] for name, field in documented.items()} == model().model_dump()
    assert all(field["description"] for field in documented.values())


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
