"""First bodies of newcomers: each route shows its smallest body, and names the route that reads what was sent."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.bodies.smallest_bodies import IMAGE, SMALLEST_BODIES, check_shape
from app.errors import RequestInvalid
from tests.support.samples import assert_refused, encoded, png, table

PICTURE = encoded(png())
FIRST_BODIES: list[Any] = [
    {"text": "a"},
    {"image": PICTURE},
    {"file": PICTURE},
    {"prompt": "a"},
    {"inputs": "a"},
    {"instances": [{"b64": PICTURE}]},
    {"data": [[PICTURE]]},
    [PICTURE],
    "a",
    7,
    True,
    None,
    {},
]
EACH = [
    pytest.param(route, body, id=f"{route} {number}")
    for route, bodies in SMALLEST_BODIES.items()
    for number, body in enumerate(bodies)
]


@pytest.mark.parametrize(("route", "body"), EACH)
async def test_each_smallest_body_is_answered_once_an_image_replaces_its_place(
    route: str, body: Any, client: httpx.AsyncClient
) -> None:
    answer = await client.post(route, content=json.dumps(body).replace(IMAGE, PICTURE))
    assert answer.status_code == 200, answer.text
    assert "x-ignored-params" not in answer.headers


async def test_every_route_that_reads_json_has_a_smallest_body(app: FastAPI) -> None:
    paths = {path for path, operations in app.openapi()["paths"].items() if "post" in operations}
    assert paths == SMALLEST_BODIES.keys()


@pytest.mark.parametrize("body", FIRST_BODIES, ids=lambda body: json.dumps(body)[:16])
@pytest.mark.parametrize("route", SMALLEST_BODIES)
def test_a_body_of_another_shape_is_answered_with_the_smallest_body(route: str, body: Any) -> None:
    with pytest.raises(RequestInvalid) as refused:
        check_shape(body, route)
    message = str(refused.value)
    wrong, _, shown = message.partition(f"; the smallest body of {route} is ")
    assert wrong.endswith((" is missing", "must be a list", "JSON list", "string", "number", "boolean", "null"))
    assert json.loads(shown.removesuffix(".")) in SMALLEST_BODIES[route]
    assert PICTURE not in message


@pytest.mark.parametrize(
    ("route", "body", "wrong"),
    [
        ("/embed", {"texts": ["a"]}, '/embed does not read the key "texts", which /embed/text reads'),
        ("/embed", {"images": ["a"]}, '/embed does not read the key "images", which /v2/embed reads'),
        ("/classify", {"images": ["a"], "labels": ["b"]}, "which /predict reads"),
        ("/embed/text", {"images": ["a"], "texts": ["b"]}, "which /encode reads"),
        ("/embed", {"texts": "a"}, '/embed does not read the key "texts"'),
        ("/embed", {"input": "a"}, "The body has the form of /v1/embeddings"),
        ("/embed", {"inputs": ["a"]}, "input_data is missing"),
        ("/embed", {"a": {"texts": ["a"]}, "b": {"images": ["b"]}}, "The body has the form of /similarity"),
        ("/render", {"dataframe_records": [{"image": "a"}]}, "The body has the form of /invocations"),
        ("/v2/embed", table(["text"], [["a"]]), "The body has the form of /embed"),
        ("/predict", {"images": ["a"]}, "labels is missing"),
        ("/similarity", {"a": {"texts": ["a"]}}, "b is missing"),
    ],
)
def test_the_route_that_reads_the_body_is_named(route: str, body: Any, wrong: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        check_shape(body, route)
    assert f"{wrong}; the smallest body of {route} is" in str(refused.value)


def test_the_smallest_body_has_what_was_sent() -> None:
    for key, column in (("image", "image"), ("Images", "image"), ("text", "text")):
        with pytest.raises(RequestInvalid, match=rf'is {{"input_data": {{"columns": \["{column}"\]'):
            check_shape({key: "a"}, "/embed")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ([PICTURE], "input_data is wrong: it must be an object; the smallest body of /embed is"),
        (PICTURE, "input_data is wrong: it must be an object; the smallest body of /embed is"),
        ({"data": [[PICTURE]]}, "input_data.columns is missing; the smallest body of /embed is"),
        ({"image": PICTURE}, 'the smallest body of /embed is {"input_data": {"columns": ["image"]'),
        ({"columns": "image", "data": [[PICTURE]]}, "input_data.columns is wrong: it must be a list; the smallest"),
        ({"columns": ["image"], "data": PICTURE}, "input_data.data is wrong: it must be a list; the smallest"),
        ({"columns": ["images"], "data": [[PICTURE]]}, 'input_data.columns[0] is misspelt; write "image".'),
        ({"columns": ["text", "Image"], "data": []}, 'input_data.columns[1] is misspelt; write "image".'),
        ({"columns": ["age"], "data": []}, 'not a column of this route, which reads "image" and "text".'),
    ],
)  # fmt: skip
async def test_a_table_of_the_wrong_form_is_answered_with_the_right_one(
    table: Any, words: str, client: httpx.AsyncClient
) -> None:
    assert_refused(await client.post("/embed", json={"input_data": table}), 400, "invalid_request", words)


async def test_a_row_that_is_not_a_list_is_answered_with_the_list_of_its_columns(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json=table(["image"], [PICTURE]))
    assert_refused(answer, 400, "invalid_request", 'send the values of image as a list, ["…"].', row=0)
    answer = await client.post("/embed", json=table(["image", "text"], [PICTURE]))
    assert_refused(answer, 400, "invalid_request", 'the values of image and text as a list, ["…", "…"].', row=0)
    answer = await client.post("/embed", json=table(["image", "text"], [[PICTURE]]))
    assert_refused(answer, 400, "invalid_request", "1 values, columns has 2; send one value per column", row=0)


async def test_a_column_of_another_route_is_answered_with_the_route_that_reads_both(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/image", json=table(["text"], [["a"]]))
    assert_refused(answer, 400, "invalid_request", 'which reads "image", while /embed reads both columns.')


@pytest.mark.parametrize("nothing", [None, []], ids=["null", "an empty list"])
async def test_nothing_beside_the_body_is_not_the_body_of_another_route(
    nothing: list[str] | None, client: httpx.AsyncClient
) -> None:
    for path in ("/embed", "/embed/text"):
        answer = await client.post(path, json=table(["text"], [["a"]]) | {"texts": None, "images": nothing})
        assert answer.status_code == 200, answer.text


async def test_an_empty_body_is_answered_with_the_smallest_one(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings")
    words = 'The body is empty; the smallest body of /v1/embeddings is {"input": "chest x-ray"}.'
    assert_refused(answer, 400, "invalid_request", words)
