"""API keys: which routes need one, and how keys are rotated."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.middleware.api_keys import DOCUMENTATION_ROUTES, OPEN_ROUTES
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.console_script import run_script
from tests.support.samples import TEXT, assert_refused, assert_text_vectors
from tests.support.servers.server_process import started

KEYS = {"api_keys": "first-key, second-key"}
BODY = {"texts": [TEXT]}
FAVICON = "/static-offline-docs/favicon.png"


@asynccontextmanager
async def asking(engine: EmbeddingEngine, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(**settings), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer first-key"},
        {"authorization": "bearer  second-key"},
        {"X-API-Key": "second-key"},
        {"AUTHORIZATION": "BEARER \t first-key \t"},
        {"authorization": "Basic of-a-proxy", "x-api-key": "first-key"},
    ],
)
async def test_every_key_is_accepted_in_both_headers(headers: dict[str, str], engine: EmbeddingEngine) -> None:
    async with asking(engine, **KEYS) as client:
        assert_text_vectors(await client.post("/embed/text", json=BODY, headers=headers), engine, [TEXT])


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "key_missing"),
        ({"authorization": "Bearer "}, 401, "key_missing"),
        ({"authorization": "Basic first-key"}, 401, "key_missing"),
        ({"authorization": "Bearer first-ke"}, 403, "key_wrong"),
        ({"authorization": "Bearer first-key, second-key"}, 403, "key_wrong"),
        ({"x-api-key": "FIRST-KEY"}, 403, "key_wrong"),
        ({b"x-api-key": b"\xff"}, 403, "key_wrong"),
        ({"authorization": "Bearer FIRST-KEY"}, 403, "key_wrong"),
        ({"authorization": "Bearer first-key second-key"}, 403, "key_wrong"),
        ({"authorization": "Bearerfirst-key"}, 401, "key_missing"),
        ({"authorization": "Bearer\tfirst-key"}, 401, "key_missing"),
        ({"authorization": "first-key"}, 401, "key_missing"),
        ({"x-api-key": "first-key, first-key"}, 403, "key_wrong"),
        ({b"x-api-key": b"first-key\xa0"}, 403, "key_wrong"),
        ({"authorization": "Bearer wrong", "x-api-key": "first-key"}, 403, "key_wrong"),
        ([("x-api-key", "wrong"), ("x-api-key", "first-key")], 403, "key_wrong"),
        ([("authorization", "Bearer wrong"), ("authorization", "Bearer first-key")], 403, "key_wrong"),
        ({"api-key": "first-key", "x_api_key": "first-key", "cookie": "x-api-key=first-key"}, 401, "key_missing"),
    ],
)
async def test_anything_else_is_refused_before_its_body_is_read(
    headers: dict[Any, Any], status: int, code: str, engine: EmbeddingEngine
) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async with asking(engine, **KEYS) as client:
        answer = await client.post("/embed/text", content=never_read(), headers=headers)
    assert_refused(answer, status, code)
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "first-k" not in answer.text


CLOSED = ["/info", "/metrics", *sorted(DOCUMENTATION_ROUTES), FAVICON, "/version", "/swagger.json", "/nothing"]
DISGUISED = [
    "//metrics",
    "/metrics/",
    "/health/../metrics",
    "/health/live/",
    "/health/live/../../info",
    "/health%2F..%2Finfo",
    "/HEALTH",
    "/ping;/info",
    "/%2fping/../info",
    "/docs/../info",
    "/static-offline-docs/../info",
    "/static-offline-docs/%2e%2e/info",
    "/static-offline-docsinfo",
]


async def test_only_probes_need_no_key(engine: EmbeddingEngine) -> None:
    async with asking(engine, **KEYS) as client:
        for path in sorted(OPEN_ROUTES):
            for method in ("GET", "HEAD"):
                assert (await client.request(method, path)).status_code == 200
        for path in [*CLOSED, *DISGUISED]:
            assert (await ask_path(client, path)).status_code == 401, path
        assert (await client.get("/info?path=/ping", headers={"x-original-url": "/ping"})).status_code == 401


async def test_a_disguised_path_opens_nothing_beside_the_documentation(engine: EmbeddingEngine) -> None:
    async with asking(engine, docs_open=True, **KEYS) as client:
        for path in DISGUISED:
            assert (await ask_path(client, path)).status_code in (401, 404), path


async def ask_path(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """GET a path as it is written: a client would resolve its dots."""
    url = httpx.URL("http://it", raw_path=path.encode())
    return await client.send(httpx.Request("GET", url))


async def test_the_documentation_may_be_left_open(engine: EmbeddingEngine) -> None:
    """The page has a button for the key, and loads the document before anybody can press it."""
    async with asking(engine, docs_open=True, **KEYS) as client:
        for path in [*sorted(DOCUMENTATION_ROUTES), FAVICON]:
            assert (await client.get(path)).status_code == 200, path
        for path in ("/info", "/metrics", "/version", "/swagger.json", "/nothing"):
            assert (await client.get(path)).status_code == 401, path
        assert "bearer" in (await client.get("/openapi.json")).json()["components"]["securitySchemes"]


@pytest.mark.parametrize("header", [("authorization", "Bearer scraper"), ("x-api-key", "scraper")])
async def test_the_key_of_the_metrics_opens_nothing_else(header: tuple[str, str], engine: EmbeddingEngine) -> None:
    async with asking(engine, metrics_key="scraper", **KEYS) as client:
        for headers, status in (
            (None, 401),
            ([header], 200),
            ({"x-api-key": "second-key"}, 200),
            ({"x-api-key": "a"}, 403),
        ):
            assert (await client.get("/metrics", headers=headers)).status_code == status
        for path in [path for path in CLOSED if path != "/metrics"]:
            assert (await client.get(path, headers=[header])).status_code == 403, path


async def test_the_metrics_can_have_a_key_in_a_service_without_keys(engine: EmbeddingEngine, tmp_path: Path) -> None:
    file = tmp_path / "metrics_key"
    file.write_text("scraper\n")
    async with asking(engine, metrics_key_file=file) as client:
        assert (await client.get("/info")).status_code == 200
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"authorization": "Bearer scraper"})).status_code == 200
        file.write_text("")
        assert (await client.get("/metrics", headers={"authorization": "Bearer scraper"})).status_code == 403
        document = (await client.get("/openapi.json")).json()
    assert [path for path, operations in document["paths"].items() if "security" in operations.get("get", {})] == [
        "/metrics"
    ]


def test_a_real_server_says_once_that_it_has_no_keys(small_release: Path) -> None:
    with started(small_release) as server:
        httpx.get(f"{server.url}/health/live")
    sentence = (
        "no API keys are set: every client that reaches 127.0.0.1 is answered; API_KEYS or API_KEYS_FILE sets keys"
    )
    assert len([line for line in server.log if sentence in line]) == 1


def test_a_real_server_does_not_start_with_a_file_without_keys(tmp_path: Path) -> None:
    done = run_script("serve", "--api-keys-file", tmp_path / "nothing")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nothing of API_KEYS_FILE cannot be read (No such file or directory)" in done.stderr


async def test_other_origins_are_allowed_only_when_named(engine: EmbeddingEngine) -> None:
    preflight = {"Origin": "https://viewer.example", "Access-Control-Request-Method": "POST"}
    async with asking(engine) as client:
        assert "access-control-allow-origin" not in (await client.get("/version", headers=preflight)).headers
    async with asking(engine, cors_origins="https://viewer.example", **KEYS) as client:
        answer = await client.options("/embed", headers=preflight)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://viewer.example"
        refused = await client.options("/embed", headers=preflight | {"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in refused.headers


async def test_other_origins_read_no_answer_without_a_key(engine: EmbeddingEngine) -> None:
    """A preflight carries no key. What it allows is only to send the request."""
    origin = {"Origin": "https://viewer.example"}
    async with asking(engine, cors_origins="https://viewer.example", **KEYS) as client:
        asked = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = await client.options("/embed", headers=asked)
        assert preflight.headers["access-control-allow-headers"] == "authorization"
        assert "access-control-allow-credentials" not in preflight.headers
        for method in ("GET", "HEAD"):
            refused = await client.request(method, "/info", headers=origin)
            assert refused.status_code == 401
            assert refused.headers["access-control-allow-origin"] == "https://viewer.example"
        assert (await client.options("/info")).status_code == 401


async def test_browsers_keep_nothing_and_guess_nothing(client: httpx.AsyncClient) -> None:
    for answer in (await client.post("/embed/text", json=BODY), await client.get("/docs")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
