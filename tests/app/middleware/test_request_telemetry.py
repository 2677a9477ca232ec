"""One log line per request, and its stage timings in `Server-Timing`."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from app.telemetry.stage_timings import STAGES
from tests.support.samples import TEXT, table

LOGGER = "medimageinsight.requests"
KEY = {"x-api-key": "key"}
PREFLIGHT = {"Origin": "https://viewer.example", "Access-Control-Request-Method": "POST"}


async def test_one_line_per_request_without_its_contents(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger=LOGGER):
        await client.post(
            "/embed?who=SECRET", json=table(["text"], [["SECRET"], [TEXT]]), headers={"x-request-id": "7"}
        )
    (record,) = [record for record in caplog.records if record.name == LOGGER]
    message = record.getMessage()
    assert message.startswith("method=POST route=/embed status=200 rows=2 total_ms=")
    assert message.endswith("request_id=7")
    assert "SECRET" not in str(vars(record))
    assert vars(record)["device_ms"] >= 0


async def test_the_line_of_a_refused_request_has_the_code_of_its_answer(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger=LOGGER):
        for body in (b"{", b'{"texts": []}', b'{"images": ["SECRET"]}'):
            answer = await client.post("/embed/image", content=body)
            (record,) = [record for record in caplog.records if record.name == LOGGER]
            assert vars(record)["code"] == answer.json()["code"]
            assert f" status={answer.status_code} code={answer.json()['code']} rows=" in record.getMessage()
            assert "SECRET" not in str(vars(record))
            caplog.clear()


async def test_probes_are_for_debugging_only(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger=LOGGER):
        for path in ("/health/ready", "/metrics", "/ping"):
            await client.get(path)
    levels = [record.levelno for record in caplog.records if record.name == LOGGER]
    assert levels == [logging.DEBUG] * 3


@pytest.mark.parametrize("path", ["/patients/SECRET", "/embed/SECRET"])
async def test_an_unknown_path_is_not_repeated(
    path: str, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger=LOGGER):
        await client.get(path, headers={b"x-request-id": b"a b\xe9"})
    (record,) = [record for record in caplog.records if record.name == LOGGER]
    assert record.getMessage().startswith("method=GET route=unmatched status=404 code=not_found rows=0")
    assert record.getMessage().endswith("request_id=a?b?")
    assert "SECRET" not in str(vars(record))


REFUSED: list[tuple[int, str, str, dict[str, Any]]] = [
    (401, "POST", "/embed/image", {"headers": {}}),
    (403, "POST", "/embed/image", {"headers": {"x-api-key": "SECRET"}}),
    (405, "PUT", "/embed/image", {}),
    (408, "POST", "/embed/image", {"content": b"late"}),
    (413, "POST", "/embed/image", {"content": bytes(2_000)}),
    (413, "POST", "/v1/embeddings", {"content": bytes(2_000)}),
    (415, "POST", "/embed/text", {"headers": KEY | {"content-encoding": "br"}}),
    (429, "POST", "/embed", {"content": b"{}"}),
    (431, "POST", "/score", {"headers": KEY | {"x-request-id": "a" * 101}}),
    (503, "POST", "/render", {"content": b"{}"}),
    (401, "GET", "/metrics", {"headers": {}}),
    (401, "GET", "/v1/models/SECRET", {"headers": {}}),
    (401, "GET", "/static-offline-docs/favicon.png", {"headers": {}}),
    (200, "OPTIONS", "/embed", {"headers": PREFLIGHT}),
]


@pytest.mark.parametrize(("status", "method", "path", "request_"), REFUSED)
async def test_a_refused_request_counts_under_its_route(
    status: int, method: str, path: str, request_: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Most refusals come from the middleware, before the router sees the request."""
    settings = Settings(api_keys="key", max_body_bytes=1000, cors_origins=PREFLIGHT["Origin"], body_timeout_s=0.01)
    app = create_app(settings)  # the lifespan is not started: no model
    for _ in range(1024 if status == 429 else 0):
        app.state.service.admission.enter()

    async def slowly() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.1)
        yield b"x"

    if status == 408:
        app.state.service.require_model = lambda: None
        request_ = {"content": slowly()}
    if status == 429:
        app.state.service.require_model = lambda: None
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://it") as client:
        with caplog.at_level(logging.INFO, logger=LOGGER):
            assert (await client.request(method, path, **({"headers": KEY} | request_))).status_code == status
        shown = (await client.get("/metrics", headers=KEY)).text
    route = {"/v1/models/SECRET": "/v1/models/{name:path}"}.get(path, path).removesuffix("/favicon.png")
    assert f'medimageinsight_requests_total{{route="{route}",status="{status}"}} 1.0' in shown
    assert 'route="unmatched"' not in shown
    (record,) = [record for record in caplog.records if record.name == LOGGER]
    assert record.getMessage().startswith(f"method={method} route={route} status={status} ")
    assert "SECRET" not in str(vars(record))


async def test_a_method_that_nobody_knows_is_not_repeated(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger=LOGGER):
        await client.request("SECRET", "/embed")
    (record,) = [record for record in caplog.records if record.name == LOGGER]
    assert record.getMessage().startswith("method=_OTHER route=/embed status=405 ")


@pytest.mark.parametrize("name", ["x-request-id", "x-ms-request-id", "x-ms-client-request-id", "user-agent"])
@pytest.mark.parametrize("end", ["\u2028", "\x85", "\x0b", "\x1b[2J", "\r", "\n", "\0", " status=200", "\xa0"])
async def test_a_header_cannot_begin_a_line_of_the_log(
    name: str, end: str, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    value = f"a{end}INFO forged".encode("utf-8" if end == "\u2028" else "latin-1")
    with caplog.at_level(logging.DEBUG, logger=LOGGER):
        await client.post("/embed", headers={name.encode(): value})
    (record,) = [record for record in caplog.records if record.name == LOGGER]
    message = record.getMessage()
    assert re.fullmatch(r"[ -~]+", message)
    assert message.count(" status=") == 1
    assert "INFO forged" not in message


async def test_answers_say_where_the_time_went(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/text", json={"texts": [TEXT]})
    parts = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"])
    assert [stage for stage, _ in parts] == list(STAGES)
    assert sum(float(milliseconds) for _, milliseconds in parts) > 0
    assert "server-timing" not in (await client.get("/version")).headers
