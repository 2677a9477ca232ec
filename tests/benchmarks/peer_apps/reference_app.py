"""A minimal service around the public package `MedImageInsights` (PyPI), as its users would write one.

The peer of `tests.benchmarks.startup` and `tests.benchmarks.reference`; it runs in the package's own virtual
environment (see `tests.benchmarks.peer_apps.peer`), so it imports nothing of this project. It answers the same JSON
as our `/embed/image` and `/embed/text`. The handlers are `async def` and block, so one request runs at a time with all
of torch's threads (with `def`, eight at once, on 2 CPUs: images 0.99 x as fast, texts 1.11 x).
The folder comes from the environment variable PEER_FOLDER.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import torch
from fastapi import FastAPI
from MedImageInsights.Models.medimageinsightmodel import MedImageInsight


def load() -> Any:
    """The package's model with the folder's own weights (its `load_model` alone would fetch them from a hub)."""
    folder = Path(os.environ["PEER_FOLDER"])
    weights = next((folder / "vision_model").iterdir())
    peer = MedImageInsight(model_dir=str(folder), vision_model_name=weights.name)
    peer.load_model()
    peer.model.from_pretrained(str(weights), ["*"], False)
    peer.model.eval()
    return peer


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.peer = load()
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


def column(body: dict[str, Any], name: str) -> list[str]:
    place = body["input_data"]["columns"].index(name)
    return [row[place] for row in body["input_data"]["data"]]


@app.post("/embed/image")
async def embed_image(body: dict[str, Any]) -> list[dict[str, Any]]:
    vectors = app.state.peer.encode(images=column(body, "image"))["image_embeddings"]
    return [{"image_features": [vector.tolist()]} for vector in vectors]


@app.post("/embed/text")
async def embed_text(body: dict[str, Any]) -> list[dict[str, Any]]:
    with torch.no_grad():  # release 0.1.1 has its own; the code it stems from leaves gradients on and raises
        vectors = app.state.peer.encode(texts=column(body, "text"))["text_embeddings"]
    return [{"text_features": [vector.tolist()]} for vector in vectors]
