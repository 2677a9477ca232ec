"""Parameters that a route does not read, in every form of body: listed, or refused if they change the shape."""

from typing import Any

import httpx
import pytest

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import assert_refused, encoded, png, table

PICTURE = encoded(png())
TABLE = table(["image"], [[PICTURE]])
BODIES: dict[str, Any] = {
    "/embed": TABLE,
    "/score": TABLE,
    "/invocations": TABLE,
    "/embed/image": TABLE,
    "/embed/text": {"texts": ["a"]},
    "/classify": TABLE | {"params": {"labels": ["a", "b"]}},
    "/render": TABLE,
    "/similarity": {"a": {"texts": ["a"]}, "b": {"texts": ["b"]}},
    "/v1/embeddings": {"input": "a"},
    "/v2/embed": {"texts": ["a"]},
    "/predict": {"images": [PICTURE], "labels": ["a", "b"]},
    "/encode": {"texts": ["a"]},
}
ALL = {"frames": "all"}


def with_param(body: Any, **param: Any) -> Any:
    return body | {"params": body.get("params", {}) | param}


@pytest.mark.parametrize("path", BODIES)
async def test_what_a_json_body_does_not_read_is_listed(path: str, client: httpx.AsyncClient) -> None:
    body = BODIES[path]
    for sent, query in ((body, "?axis=sagittal"), (body | {"axis": "sagittal"}, ""), (with_param(body, speed=1), "")):
        answer = await client.post(path + query, json=sent)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-ignored-params"] == ("axis" if query or "axis" in sent else "speed")


async def test_a_parameter_of_one_route_is_listed_beside_its_params(client: httpx.AsyncClient) -> None:
    for path, name, value in (("/classify", "top_k", 1), ("/render", "standardized", True)):
        answer = await client.post(path, json=BODIES[path] | {name: value})
        assert (answer.status_code, answer.headers["x-ignored-params"]) == (200, name)


@pytest.mark.parametrize("path", BODIES)
async def test_all_frames_are_refused_in_every_place_that_is_not_read(path: str, client: httpx.AsyncClient) -> None:
    body = BODIES[path]
    for answer in (
        await client.post(path, params=ALL, json=body),
        await client.post(path, json=body | ALL),
    ):
        assert_refused(answer, 400, "invalid_request", "frames has no effect in this place; only /embed/image reads it")
    if path != "/embed/image":
        answer = await client.post(path, json=with_param(body, **ALL))
        assert_refused(answer, 400, "invalid_request", "frames")


@pytest.mark.parametrize("path", ["/embed", "/score", "/invocations"])
async def test_all_frames_are_refused_in_a_form_as_in_json(path: str, client: httpx.AsyncClient) -> None:
    files = {"files": png()}
    for answer in (
        await client.post(path, files=files, data=ALL),
        await client.post(path, files=files, params=ALL),
    ):
        assert_refused(answer, 400, "invalid_request", 'Only /embed/image accepts params.frames "all"')


@pytest.mark.parametrize("path", ["/render", "/classify"])
async def test_all_frames_are_refused_where_an_image_gives_one_picture(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(path, files={"files": png()}, data=ALL)
    assert_refused(answer, 400, "invalid_request", "frames is wrong: each image gives one picture")


async def test_fields_of_a_form_are_parameters_of_embed_too(client: httpx.AsyncClient) -> None:
    files = {"files": png()}
    [plain] = (await client.post("/embed", files=files, data={"text": "a"})).json()
    [unscaled] = (await client.post("/embed", files=files, data={"text": "a", "get_scaling_factor": "false"})).json()
    assert plain.keys() - unscaled.keys() == {"scaling_factor"}
    assert plain["text_features"] == unscaled["text_features"]


async def test_a_form_may_have_parameters_beside_as_many_texts_as_there_may_be_rows(engine: EmbeddingEngine) -> None:
    app = create_app(Settings(max_rows=2), LoadedModel(engine, imports_s=0.0))
    data = {"text": ["a", "b"], "get_scaling_factor": "false"}
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://it") as client:
            answer = await client.post("/embed", files={"files": png()}, data=data)
    assert [row.keys() for row in answer.json()] == [{"image_features", "text_features"}, {"text_features"}]


async def test_a_text_in_a_form_of_images_is_listed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/image", files={"files": png()}, data={"text": "a"})
    assert answer.headers["x-ignored-params"] == "text"
