"""A minimal service around the package `MedImageInsights` (PyPI), as its users would write it.

`tests.benchmarks.startup` and `tests.benchmarks.reference` compare our server with it. It runs in the package's own
virtual environment (`tests.benchmarks.peer_apps.peer`), so it imports nothing of this project. It answers the same JSON
as our `/embed/image` and `/embed/text`. The handlers are `async def` and block, so one request runs at a time with all
of torch's threads. (With `def`, eight requests run at a time; on 2 CPUs, images are then 0.99 x and texts 1.11 x as
fast.) The environment variable PEER_FOLDER names the release folder.
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
    """The package's model with the weights of the folder. `load_model` by itself would download weights from a hub."""
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
    with torch.no_grad():  # the code from which release 0.1.1 was made leaves gradients on and then raises
        vectors = app.state.peer.encode(texts=column(body, "text"))["text_embeddings"]
    return [{"text_features": [vector.tolist()]} for vector in vectors]
