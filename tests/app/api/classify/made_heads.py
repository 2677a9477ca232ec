"""Heads on the embeddings of an engine, and applications that serve them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import torch

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from model.heads.head import Head
from model.heads.scorers.layers import LayersScorer
from model.heads.scorers.scorer import Activation
from model.heads.scorers.zero_shot import ZeroShotScorer
from model.imaging.preprocessing import Preprocessing
from tests.support.samples import encoded, table, text_vector

LABELS = ("mri", "x-ray chest", "ultrasound")
NO_JPEG = Preprocessing(standardization=None)


def zero_shot_head(
    engine: EmbeddingEngine,
    labels: Sequence[str] = LABELS,
    *,
    absent: Sequence[str] = (),
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 (frozen)
    template: str = "{}",
) -> Head:
    """A head of the vectors of its labels and, if there are some, of the texts that state their absence."""
    present = np.stack([text_vector(engine, template.format(label)) for label in labels])
    negatives = np.stack([text_vector(engine, text) for text in absent]) if absent else None
    scorer = ZeroShotScorer(present, negatives, engine.logit_scale)
    return Head("zero_shot", tuple(labels), "softmax", scorer, model_of(engine), preprocessing)


def linear_head(
    engine: EmbeddingEngine, activation: Activation, labels: Sequence[str] = ("nodule", "effusion"), **facts: Any
) -> Head:
    """A head with random weights."""
    size = engine.embedding_size
    weight = torch.randn(len(labels), size, generator=torch.Generator().manual_seed(0))
    scorer = LayersScorer.from_tensors({"0.weight": weight, "0.bias": torch.zeros(len(labels))}, activation)
    return Head("linear", tuple(labels), activation, scorer, model_of(engine), **facts)


def model_of(engine: EmbeddingEngine) -> dict[str, str]:
    return {"name": engine.release.name, "weights_sha256": engine.release.weights_sha256()}


@asynccontextmanager
async def serving_heads(
    engine: EmbeddingEngine, heads: dict[str, Head], *, default: Head | None = None, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with heads."""
    app = create_app(Settings(**settings), LoadedModel(engine, 0.0, heads, default))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client


def images(*files: bytes, **params: Any) -> dict[str, Any]:
    """A JSON body with images."""
    return table(["image"], [[encoded(file)] for file in files], params=params)


async def classified(client: httpx.AsyncClient, *files: bytes, **params: Any) -> Any:
    """The answer to a JSON body."""
    answer = await client.post("/classify", json=images(*files, **params))
    assert answer.status_code == 200, answer.text
    return answer.json()
