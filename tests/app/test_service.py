"""Lifecycle of the service: loading, ready, failed, stopping."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Literal
from unittest import mock

import httpx
import pytest
from fastapi import FastAPI

from app.decoding.pool import DecoderPool
from app.decoding.workers import ProcessWorker, ThreadWorker
from app.errors import NotReady
from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.service import Service, pipeline_limits, start_decoders
from app.settings import Settings
from app.threads import in_thread
from model.cpus import available_cpus
from model.engine import EmbeddingEngine
from model.errors import CheckpointError
from tests.support.held_engine import HeldEngine
from tests.support.patience import until
from tests.support.samples import TEXT, assert_refused, table

BODY = table(["text"], [[TEXT]])


@pytest.mark.parametrize(
    "path",
    ["/embed", "/score", "/invocations", "/embed/image", "/embed/text", "/render", "/classify", "/similarity"],
)
async def test_while_loading_the_process_lives_and_embeds_nothing(path: str, app: FastAPI) -> None:
    """The lifespan is not started in this test, so no model is loaded."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://it") as client:
        for live in ("/health/live", "/", "/version", "/docs", "/openapi.json"):
            assert (await client.get(live)).status_code == 200
        answer = await client.post(path, json=BODY)
        assert_refused(answer, 503, "not_ready", "The model is being loaded.")
        assert int(answer.headers["retry-after"]) >= 1
        garbage = await client.post(path, content=b"\0", headers={"content-type": "x/y"})
        assert garbage.status_code == 503  # the body is not even looked at


async def test_ready_and_stopped(engine: EmbeddingEngine) -> None:
    service = Service(Settings())
    with pytest.raises(NotReady, match="being loaded"):
        service.require_model()
    service.serve(LoadedModel(engine, imports_s=0.0))
    assert service.require_model().engine is engine
    assert service.why_not_ready is None
    await service.stop()
    with pytest.raises(NotReady, match="stopping"):
        service.require_model()


async def test_the_thread_of_scores_ends_with_the_service(engine: EmbeddingEngine) -> None:
    service = Service(Settings())
    service.serve(LoadedModel(engine, imports_s=0.0))
    thread = await in_thread(service.scoring, threading.current_thread)
    await service.stop()
    await until(lambda: not thread.is_alive())


async def test_a_failure_is_reported_once_and_keeps_its_reason_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(Settings())
    told: list[bool] = []
    service.on_failure = lambda: told.append(True)
    service._loading_done(CheckpointError("no weights in /home/jane"))
    assert told == [True]
    assert "the service does not start: no weights in /home/jane" in caplog.text
    with pytest.raises(NotReady, match=r"could not be loaded; the log says why") as not_ready:
        service.require_model()
    assert "jane" not in str(not_ready.value)


async def test_the_app_loads_its_model_by_itself(small_release: Path) -> None:
    app = create_app(Settings(model=str(small_release)))
    service: Service = app.state.service
    told: list[bool] = []
    service.on_ready = lambda: told.append(True)
    async with app.router.lifespan_context(app):
        assert (service.why_not_ready, told) == ("The model is being loaded.", [])
        await until(lambda: service.why_not_ready is None)
        assert told == [True]


async def test_a_model_that_is_loaded_after_the_stop_is_left_alone(engine: EmbeddingEngine) -> None:
    service = Service(Settings())
    await service.stop()
    service._loading_done(LoadedModel(engine, imports_s=0.0))
    service._loading_done(CheckpointError("too late"))
    assert (service.model, service.failure) == (None, None)


async def test_one_line_names_what_serves_and_a_second_one_the_limits(
    engine: EmbeddingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "medimageinsight")
    service = Service(Settings(decode_threads=3, queue_size=2000))
    service.serve(LoadedModel(engine, imports_s=1.234))
    await service.stop()
    (line,) = [line for line in caplog.messages if line.startswith("the model is loaded: ")]
    for fact in ("model=2024.09.27", "device=cpu", "dtype=float32", "threads=", "decoders=3", "heads=0"):
        assert fact in line
    (limits,) = [record for record in caplog.records if record.message.startswith("limits and times: ")]
    assert limits.levelname == "DEBUG"
    assert "queue_size=2000" in limits.message
    assert "imports_s=1.23" in limits.message


def test_0_becomes_what_suits_the_device(engine: EmbeddingEngine) -> None:
    limits = pipeline_limits(Settings(), engine)
    assert (limits.max_batch_size, limits.text_batch_tokens) == (engine.images_per_forward, 1024)
    assert 1 <= limits.preprocessing.text_threads <= 8
    assert limits.preprocessing.image_size == engine.config.image.image_size


def test_a_setting_that_is_not_0_is_taken(engine: EmbeddingEngine) -> None:
    settings = Settings(max_batch_size=5, text_batch_tokens=77, decode_threads=9, batch_wait_ms=250, text_cache_size=0)
    limits = pipeline_limits(settings, engine)
    assert (limits.max_batch_size, limits.text_batch_tokens, limits.preprocessing.text_threads) == (5, 77, 9)
    assert (limits.batch_wait_s, limits.text_cache_size) == (0.25, 0)


async def test_a_device_that_does_not_answer_is_not_ready(engine: EmbeddingEngine) -> None:
    held = HeldEngine(engine)
    app = create_app(Settings(device_timeout_s=0.05), LoadedModel(held, imports_s=0.0))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://it") as client,
    ):
        with held.holding():
            waiting = asyncio.create_task(client.post("/embed", json=BODY))
            await until(lambda: app.state.service.why_not_ready is not None)
            for answer in (await client.get("/health/ready"), await client.post("/embed", json=BODY)):
                assert_refused(answer, 503, "not_ready", "The device has not answered for 0 seconds")
            assert (await client.get("/health/live")).status_code == 200
            assert_refused(await waiting, 503, "encoding_failed", "The device does not answer")
        await until(lambda: app.state.service.why_not_ready is None)
        assert (await client.get("/health/ready")).status_code == 200


@pytest.mark.parametrize(
    ("workers", "kind", "size"), [("auto", ProcessWorker, None), (3, ProcessWorker, 3), (0, ThreadWorker, 5)]
)
async def test_images_are_decoded_in_processes_unless_none_are_wanted(
    workers: int | Literal["auto"], kind: type, size: int | None
) -> None:
    decoders = start_decoders(Settings(decode_workers=workers, decode_threads=5))
    assert all(isinstance(worker, kind) for worker in decoders._free)
    assert decoders.size == (size or min(8, available_cpus()))
    decoders.stop()


async def test_decoders_that_all_hang_are_not_ready(engine: EmbeddingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(Settings(decode_timeout_s=0.01))
    service.serve(LoadedModel(engine, imports_s=0.0))
    assert service.why_not_ready is None
    monkeypatch.setattr(DecoderPool, "hanging_s", 40.0)
    assert service.why_not_ready == "No decoder has answered for 40 seconds; restart the service if this persists."
    await service.stop()


async def test_a_failed_hash_of_the_weights_is_tried_again(engine: EmbeddingEngine) -> None:
    service = Service(Settings())
    service.serve(LoadedModel(engine, imports_s=0.0))
    with mock.patch.object(type(engine.release), "weights_sha256", side_effect=[OSError, "right"]):
        with pytest.raises(OSError):
            await service.checkpoint_sha256()
        assert [await service.checkpoint_sha256() for _ in range(2)] == ["right"] * 2
    await service.stop()


def test_a_system_without_limits_of_processes_can_decode_in_threads() -> None:
    """Windows has no module `resource`, which only the program of the workers needs."""
    program = "import sys; sys.modules['resource'] = None; import app.service"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
