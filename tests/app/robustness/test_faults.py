"""Random faults at every stage under load: every request is answered, and no reservation remains."""

import asyncio
import collections
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import httpx
import numpy as np
import pytest
import torch
from fastapi import FastAPI

from app.api.responses import embedding_response
from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from model.errors import OutOfDeviceMemory
from model.imaging.images import open_image
from model.imaging.preprocessing import preprocess
from tests.support.samples import assert_close, assert_refused, encoded, png, table, text_vector, vectors

REQUESTS, MOST_ROWS, CHANCE = 150, 4, 0.08
IMAGES = [png(seed) for seed in range(3)]


class Faults:
    """Makes calls fail: the first call of each stage, and later calls at random."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.counts: collections.Counter[str] = collections.Counter()

    def strikes(self, stage: str) -> bool:
        strikes = stage not in self.counts or self._chance.random() < CHANCE
        self.counts[stage] += strikes
        return strikes

    def failing(self, stage: str, function: Callable[..., Any], error: type[Exception]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.strikes(stage):
                raise error("SECRET")
            return function(*args, **kwargs)

        return call

    def spoiling(self, stage: str, function: Callable[..., Any], spoil: Callable[[Any], Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            return spoil(result) if self.strikes(stage) else result

        return call


@contextmanager
def faults_everywhere(engine: EmbeddingEngine, faults: Faults) -> Iterator[None]:
    model = engine._model
    forward = {
        "encode_image": faults.spoiling(
            "NaN", faults.failing("forward of images", model.encode_image, OutOfDeviceMemory), lambda f: f * torch.nan
        ),
        "encode_text": faults.spoiling(
            "shape", faults.failing("forward of texts", model.encode_text, RuntimeError), lambda f: f[:, 1:]
        ),
    }
    faulty = {
        "tokenize_counted": faults.failing("tokenise", engine.tokenize_counted, KeyError),
        "stage_images": faults.failing("stack", engine.stage_images, MemoryError),
        "_checked": faults.failing("normalise", engine._checked, ZeroDivisionError),
    }
    functions: dict[str, Callable[..., Any]] = {
        "app.decoding.decoder.open_image": faults.failing("decode", open_image, OSError),
        "app.decoding.decoder.preprocess": faults.failing("preprocess", preprocess, StopIteration),
        "app.api.responses.embedding_response": faults.failing("serialise", embedding_response, TypeError),
    }
    with ExitStack() as patches:
        for target, replacements in ((model, forward), (engine, faulty)):
            for name, function in replacements.items():
                patches.enter_context(mock.patch.object(target, name, function))
        for name, function in functions.items():
            patches.enter_context(mock.patch(name, function))
        yield


@pytest.fixture
def service_app(engine: EmbeddingEngine) -> FastAPI:
    return create_app(Settings(text_cache_size=0), LoadedModel(engine, imports_s=0.0))


@pytest.mark.parametrize("seed", [0, 1])
async def test_every_request_is_accounted_for(seed: int, service_app: FastAPI, engine: EmbeddingEngine) -> None:
    chance, faults = random.Random(seed), Faults(seed)
    images = engine.embed_images([engine.stage_images([engine.preprocess_image(data, None) for data in IMAGES])])
    transport = httpx.ASGITransport(app=service_app, raise_app_exceptions=False)
    statuses: collections.Counter[int] = collections.Counter()
    async with (
        service_app.router.lifespan_context(service_app),
        httpx.AsyncClient(transport=transport, base_url="http://it") as client,
    ):

        async def ask(number: int) -> None:
            picks = [chance.randrange(len(IMAGES)) for _ in range(chance.randint(1, MOST_ROWS))]
            rows = [[encoded(IMAGES[pick]), f"text {number} {row}"] for row, pick in enumerate(picks)]
            body = table(["image", "text"], rows) | {"params": {"image_standardization_jpeg_compression_ratio": 0}}
            answer = await client.post("/embed", json=body)
            statuses[answer.status_code] += 1
            assert "SECRET" not in answer.text
            if answer.status_code == 200:
                assert_close(vectors(answer, "image_features"), images[picks])
            elif answer.status_code == 503:
                place = {name: answer.json()[name] for name in ("row", "column")}
                assert_refused(answer, 503, "encoding_failed", "device failed on it", **place)
                assert place["row"] < len(rows)
            else:
                assert_refused(answer, 500, "internal_error")

        with faults_everywhere(engine, faults):
            async with asyncio.timeout(60), asyncio.TaskGroup() as together:
                for number in range(REQUESTS):
                    together.create_task(ask(number))
        assert sum(statuses.values()) == REQUESTS
        assert min(statuses[200], statuses[500], statuses[503]) > 0
        assert set(statuses) == {200, 500, 503}
        assert all(faults.counts.values()), faults.counts
        admission = service_app.state.service.admission
        assert (admission.rows, admission.bytes, admission.requests) == (0, 0, 0)
        answer = await client.post("/embed/text", json={"texts": ["and now"]})
        assert_close(vectors(answer, "text_features")[0], text_vector(engine, "and now"))
        assert np.isfinite(images).all()
