"""Who gets the page, and who gets the word of a liveness probe."""

import httpx
import pytest

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from app.web.routes import FOLDER
from model.engine import EmbeddingEngine

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
FILES = sorted(path.name for path in (FOLDER / "static").iterdir() if path.is_file())
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def is_page(answer: httpx.Response) -> bool:
    assert answer.status_code == httpx.codes.OK
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "accept" in answer.headers["vary"].lower()
    return answer.text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    "accept", [CHROME, "text/html", "TEXT/HTML; charset=utf-8", "application/json;q=0.5, text/html"]
)
async def test_browsers_get_the_page(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get("/", headers={"accept": accept})
    assert is_page(answer)
    assert "Healthy" in answer.text  # the word that probes look for


@pytest.mark.parametrize(
    "accept", ["*/*", "", "application/json", "application/json, text/html;q=0.9", "text/html;q=0"]
)
async def test_other_clients_get_the_word(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get("/", headers={"accept": accept})
    assert not is_page(answer)
    assert answer.text == "Healthy"


async def test_a_client_without_the_header_gets_the_word(client: httpx.AsyncClient) -> None:
    del client.headers["accept"]
    assert (await client.get("/")).text == "Healthy"


@pytest.mark.parametrize("accept", ["*/*", CHROME])
async def test_head_has_the_headers_of_get_and_no_body(client: httpx.AsyncClient, accept: str) -> None:
    got = await client.get("/", headers={"accept": accept})
    head = await client.head("/", headers={"accept": accept})
    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == got.headers[name]


async def test_the_policy_lets_only_scripts_of_the_server_run(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/", headers={"accept": CHROME})).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


@pytest.mark.parametrize("name", FILES)
async def test_the_files_of_the_page_are_served(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/web/{name}")
    assert answer.status_code == httpx.codes.OK
    assert answer.content == (FOLDER / "static" / name).read_bytes()
    assert answer.headers["content-type"] == TYPES[name[name.rindex(".") :]]


@pytest.mark.parametrize("path", ["/web/", "/web/none.js", "/web/../page.html", "/web/%2e%2e/routes.py"])
async def test_no_other_file_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert answer.json()["code"] == "not_found"


async def test_the_page_names_only_files_that_there_are(client: httpx.AsyncClient) -> None:
    page = (await client.get("/", headers={"accept": CHROME})).text
    named = {part.split('"')[0] for part in page.split('"web/')[1:]}
    assert named <= set(FILES)
    assert "<style" not in page
    assert "style=" not in page
    assert "http" not in page  # no other origin


async def test_without_ui_every_client_gets_the_word_and_no_files(engine: EmbeddingEngine) -> None:
    app = create_app(Settings(ui=False), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        assert (await client.get("/", headers={"accept": CHROME})).text == "Healthy"
        assert (await client.get("/web/page.js")).status_code == httpx.codes.NOT_FOUND


async def test_a_key_does_not_close_the_page(engine: EmbeddingEngine) -> None:
    app = create_app(Settings(api_keys="key-of-the-tests-0123456789"), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        assert is_page(await client.get("/", headers={"accept": CHROME}))
        assert (await client.get("/web/page.js")).status_code == httpx.codes.OK
        assert (await client.get("/labels")).status_code == httpx.codes.UNAUTHORIZED
