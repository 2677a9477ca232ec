"""Rows with URLs over HTTP: refused by default; if allowed, the vectors are those of the bytes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.remote_images.addresses import Address
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.console_script import run_script
from tests.support.samples import TEXT, assert_close, assert_refused, encoded, image_vector, png, table, vectors
from tests.support.servers.picture_server import ANSWERS, HOST, LOOPBACK, SILENT, answer, fetcher, picture_server

SECRET = "Q7patientQ7"


@asynccontextmanager
async def asking(
    engine: EmbeddingEngine, answers: Mapping[str, bytes] = ANSWERS, **settings: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, str, FastAPI]]:
    """An application that may fetch from loopback: its client, the URL that it may fetch, and the application."""
    async with picture_server(answers) as server:
        app = create_app(Settings(**settings), LoadedModel(engine, imports_s=0.0))
        app.state.service.fetcher = fetcher(server.port)
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as it:
            yield it, f"http://{HOST}:{server.port}", app


async def test_a_row_with_a_url_has_the_vector_of_its_bytes(engine: EmbeddingEngine) -> None:
    async with asking(engine) as (client, url, app):
        rows = [[f"{url}/a.png", TEXT], [encoded(png(2)), ""], [f"{url}/moved", ""]]
        answered = await client.post("/embed", json=table(["image", "text"], rows))
        found = vectors(answered, "image_features")
        for vector, seed in zip(found, (1, 2, 2), strict=True):
            assert_close(vector, image_vector(engine, png(seed)))
        body = table(["image"], [[f"{url}/a.png"]], params={"frames": "all"})
        assert_close(vectors(await client.post("/embed/image", json=body), "image_features")[0], found[0])
        assert (app.state.service.admission.bytes, app.state.service.admission.rows) == (0, 0)


async def test_a_url_where_openais_clients_put_one(engine: EmbeddingEngine) -> None:
    async with asking(engine) as (client, url, _):
        part = {"type": "image_url", "image_url": {"url": f"{url}/a.png"}}
        for body in (
            {"messages": [{"role": "user", "content": [part]}]},
            {"modality": "image", "input": [f"{url}/a.png"]},
        ):
            answered = await client.post("/v1/embeddings", json=body)
            assert answered.status_code == 200, answered.text
            assert len(answered.json()["data"][0]["embedding"]) == engine.embedding_size


async def test_of_bad_rows_the_first_is_named_whatever_is_wrong_with_it(engine: EmbeddingEngine) -> None:
    async with asking(engine, max_text_chars=1000) as (client, url, _):
        rows: list[list[str]] = [[encoded(png()[:60]), ""], [f"{url}/nowhere", ""], ["", "a" * 1001], ["ftp://a/b", ""]]
        for row, (status, code) in enumerate(
            [(400, "undecodable_image"), (400, "url_not_fetched"), (413, "text_too_long"), (400, "url_not_allowed")]
        ):
            body = table(["image", "text"], [["", TEXT]] * row + rows[row:])
            column = "text" if code == "text_too_long" else "image"
            assert_refused(await client.post("/embed", json=body), status, code, row=row, column=column)
        answered = await client.post("/embed/image", json=table(["image"], [[f"{url}/declared"]]))
        assert_refused(answered, 413, "image_too_large", "100,000 bytes", row=0, column="image")


async def test_the_deadline_and_the_queue_bound_a_fetch_too(engine: EmbeddingEngine) -> None:
    async with asking(engine, {"/slow": SILENT, "/a": answer(png(1))}, queue_size=1, max_rows=1) as (client, url, app):
        slow = table(["image"], [[f"{url}/slow"]])
        waiting = asyncio.create_task(client.post("/embed", json=slow, headers={"x-request-timeout-ms": "500"}))
        await asyncio.sleep(0.2)
        assert_refused(await client.post("/embed", json=table(["image"], [[f"{url}/a"]])), 429, "queue_full")
        answered = await waiting
        assert_refused(answered, 504, "deadline_exceeded")
        assert float(answered.headers["server-timing"].partition("read;dur=")[2].partition(",")[0]) < 500
        assert (app.state.service.admission.bytes, app.state.service.admission.rows) == (0, 0)


async def test_the_time_of_a_fetch_is_reading(engine: EmbeddingEngine) -> None:
    async def late(host: str, port: int) -> list[Address]:
        await asyncio.sleep(0.3)
        return [LOOPBACK]

    async with asking(engine) as (client, url, app):
        app.state.service.fetcher = fetcher(int(url.rpartition(":")[2]), resolve=late)
        answered = await client.post("/embed", json=table(["image"], [[f"{url}/a.png"]]))
    assert float(answered.headers["server-timing"].partition("read;dur=")[2].partition(",")[0]) >= 300


@pytest.mark.parametrize("path", [*ANSWERS, f"/{SECRET}"])
async def test_no_url_is_repeated(path: str, engine: EmbeddingEngine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpcore2", "httpx2"):  # as in app/telemetry/logging_setup.py
        caplog.set_level(logging.WARNING, logger=name)
    async with asking(engine) as (client, url, _):
        body = table(["image"], [[f"{url}{path}?token={SECRET}"]])
        answered = await client.post("/embed", json=body, headers={"x-request-timeout-ms": "2000"})
    assert answered.status_code in (200, 400, 413, 504)
    for told in (answered.text, str(answered.headers), caplog.text):
        assert SECRET not in told
        assert HOST not in told


def bodies_with(url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every route that takes URLs of images, with a body that names one."""
    rows = table(["image"], [[url]])
    for path in ("/embed", "/score", "/invocations", "/embed/image", "/render"):
        yield path, rows
    yield "/embed/image", rows | {"params": {"frames": "all"}}
    yield "/invocations", {"dataframe_split": {"columns": ["image"], "data": [[url]]}}
    yield "/invocations", {"dataframe_records": [{"image": url}]}
    yield "/v1/embeddings", {"modality": "image", "input": [url]}
    part = {"type": "image_url", "image_url": {"url": url}}
    yield "/v1/embeddings", {"messages": [{"role": "user", "content": [part]}]}
    yield "/v2/embed", {"images": [url]}
    yield "/providers/microsoft/v2/embed", {"inputs": [{"content": [part]}]}
    yield "/predict", {"images": [url], "labels": ["a"]}
    yield "/encode", {"images": [url]}


@pytest.mark.parametrize("scheme", ["https", "http", "ftp", "s3", "file"])
async def test_urls_are_off_by_default_and_every_refusal_says_so(scheme: str, client: httpx.AsyncClient) -> None:
    for path, body in bodies_with(f"{scheme}://{HOST}/{SECRET}"):
        answered = await client.post(path, json=body)
        words = ("no paths",) if scheme == "file" else ("fetching is off", "URL_ALLOWLIST", "send base64")
        assert_refused(answered, 400, "url_not_allowed", *words, row=0, column="image")
        assert SECRET not in answered.text


async def test_a_url_that_is_not_in_the_list_has_the_same_code_everywhere(engine: EmbeddingEngine) -> None:
    async with asking(engine) as (client, _, _):
        for path, body in bodies_with(f"https://elsewhere.example/{SECRET}"):
            answered = await client.post(path, json=body)
            assert_refused(answered, 400, "url_not_allowed", "not in URL_ALLOWLIST", row=0, column="image")
            assert SECRET not in answered.text


async def test_an_allowlist_from_the_settings_permits_no_address_of_this_machine(engine: EmbeddingEngine) -> None:
    async with picture_server(ANSWERS) as server:
        url = f"http://localhost:{server.port}"
        app = create_app(Settings(url_allowlist=url), LoadedModel(engine, imports_s=0.0))
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as it:
            for place, words in (
                (f"{url}/a.png", "not public"),
                (f"https://{HOST}/", "not in URL_ALLOWLIST"),
            ):
                answered = await it.post("/embed", json=table(["image"], [[place]]))
                assert_refused(answered, 400, "url_not_allowed", words, row=0, column="image")
    assert server.paths == []


def test_a_server_does_not_start_with_an_invalid_allowlist() -> None:
    done = run_script("serve", "--url-allowlist", "images.example.org,*")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "entry 2 of URL_ALLOWLIST" in done.stderr
