"""Metrics that Prometheus reads."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.held_engine import HeldEngine
from tests.support.patience import until
from tests.support.samples import TEXT, encoded, png, table
from tests.support.servers.serving import serving


def samples(text: str) -> dict[str, float]:
    """Values by name and labels, such as `medimageinsight_rows_total{kind=image}`."""
    shown = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            shown[f"{sample.name}{{{labels}}}"] = sample.value
    return shown


async def read(client: httpx.AsyncClient) -> dict[str, float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return samples(answer.text)


async def test_requests_rows_batches_and_the_cache_are_counted(client: httpx.AsyncClient) -> None:
    await client.post("/embed", json=table(["image", "text"], [[encoded(png()), TEXT], ["", "another"]]))
    await client.post("/embed/text", json={"texts": [TEXT]})
    await client.post("/embed/text", content=b"{")
    await client.get("/patients/name")
    shown = await read(client)
    wanted = {
        "medimageinsight_requests_total{route=/embed,status=200}": 1,
        "medimageinsight_requests_total{route=/embed/text,status=200}": 1,
        "medimageinsight_requests_total{route=/embed/text,status=400}": 1,
        "medimageinsight_requests_total{route=unmatched,status=404}": 1,
        "medimageinsight_rows_total{kind=image}": 1,
        "medimageinsight_rows_total{kind=text}": 3,
        "medimageinsight_entries_total{kind=image}": 1,
        "medimageinsight_entries_total{kind=text}": 2,
        "medimageinsight_text_cache_hits_total{}": 1,
        "medimageinsight_text_cache_misses_total{}": 2,
        "medimageinsight_batch_size_count{kind=image}": 1,
        "medimageinsight_request_duration_seconds_count{route=/embed}": 1,
        "medimageinsight_stage_duration_seconds_count{stage=device}": 2,
        "medimageinsight_queue_rows{}": 0,
        "medimageinsight_ready{}": 1,
    }
    assert {name: shown.get(name) for name in wanted} == wanted
    assert any(name.startswith("medimageinsight_model_info{") and "dtype=float32" in name for name in shown)
    assert "process_resident_memory_bytes{}" in shown
    assert "patients" not in str(shown)


async def test_what_waits_is_shown_while_it_waits_and_what_expired_is_counted(engine: EmbeddingEngine) -> None:
    held = HeldEngine(engine)
    app = create_app(Settings(concurrent_batches=1), LoadedModel(held, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        with held.holding():
            body = table(["text"], [["a"], ["b"]])
            waiting = asyncio.create_task(client.post("/embed", json=body))
            await until(lambda: held.texts_seen > 0)
            shown = await read(client)
            assert shown["medimageinsight_queue_rows{}"] == 2
            assert shown["medimageinsight_queue_bytes{}"] > 50
            assert shown["medimageinsight_requests_in_flight{}"] == 1
            late = await client.post("/embed", json=table(["text"], [["c"]]), headers={"x-request-timeout-ms": "20"})
            assert late.status_code == 504
        await waiting
        await until(lambda: app.state.service.model.pipeline.texts.dropped == 1)
        shown = await read(client)
    assert shown["medimageinsight_expired_rows_total{}"] == 1
    assert shown["medimageinsight_dropped_entries_total{kind=text}"] == 1


async def test_metrics_are_there_before_the_model(app: FastAPI) -> None:
    """The lifespan did not start, so no model is loaded."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://it") as client:
        shown = await read(client)
    assert shown["medimageinsight_ready{}"] == 0
    assert not any("model_info" in name for name in shown)


@pytest.fixture(scope="module")
def url(small_release: Any) -> Iterator[str]:
    with serving(small_release) as url:
        yield url


def test_the_stages_add_up_to_the_requests_time(url: str) -> None:
    images = table(["image", "text"], [[encoded(png(seed)), f"text {seed}"] for seed in range(3)])
    with httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(5):
            client.post("/embed", json=images).raise_for_status()
        shown = samples(client.get("/metrics").text)
    total = shown["medimageinsight_request_duration_seconds_sum{route=/embed}"]
    stages = [value for name, value in shown.items() if name.startswith("medimageinsight_stage_duration_seconds_sum")]
    assert len(stages) == 7
    assert sum(stages) == pytest.approx(total, rel=0.05)
