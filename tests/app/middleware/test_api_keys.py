"""API keys: which routes need one, and how keys are rotated."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import KeysUnusable
from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.middleware.api_keys import OPEN_ROUTES
from app.middleware.key_store import ApiKeys
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.console_script import run_script
from tests.support.samples import TEXT, assert_refused, assert_text_vectors
from tests.support.servers.server_process import started

KEYS = {"api_keys": "first-key, second-key"}
BODY = {"texts": [TEXT]}


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


async def test_only_probes_need_no_key(engine: EmbeddingEngine) -> None:
    async with asking(engine, **KEYS) as client:
        for path in sorted(OPEN_ROUTES):
            assert (await client.get(path)).status_code == 200
        for path in ("/info", "/metrics", "/docs", "/openapi.json", "/version", "/nothing"):
            assert (await client.get(path)).status_code == 401


def test_a_file_of_keys_is_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the viewer\nold\n\n")
    keys = ApiKeys(["given"], file)
    assert [keys.accepts(key) for key in (b"given", b"old", b"new", b"", b"# of the viewer")] == [
        True,
        True,
        *[False] * 3,
    ]
    file.write_text("new\n")
    os.utime(file, ns=(1, 1))
    assert [keys.accepts(key) for key in (b"given", b"old", b"new")] == [True, False, True]
    file.unlink()
    assert [keys.accepts(key) for key in (b"given", b"new")] == [True, True]
    file.write_text("third\n")
    assert keys.accepts(b"third")
    assert caplog.text.count("the keys read before stay valid") == 1


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "cannot be read"), (b"\n# none\n", "holds no key"), (b"\xff\xfe", "cannot be read")]
)
def test_a_file_without_keys_is_refused_at_the_start(content: bytes | None, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(KeysUnusable, match=reason):
        ApiKeys([], file)


@pytest.mark.parametrize("given", [",", " ", " , ,"])
def test_keys_without_characters_are_refused(given: str) -> None:
    with pytest.raises(KeysUnusable, match="API_KEYS holds no key"):
        ApiKeys.from_settings(Settings(api_keys=given))
    assert ApiKeys.from_settings(Settings(api_keys="")) is None


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
    assert "the API key file" in done.stderr


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


async def test_browsers_keep_nothing_and_guess_nothing(client: httpx.AsyncClient) -> None:
    for answer in (await client.post("/embed/text", json=BODY), await client.get("/docs")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
