"""A server with IMAGE_ONLY: images and heads work in every route, and texts are refused by name before any work."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.inference.model_loader import load_engine
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from model.heads.head_folder import save_head
from tests.app.api.classify.made_heads import classified, images, serving_heads, zero_shot_head
from tests.support.samples import TEXT, assert_close, assert_refused, encoded, image_vector, png, table, vectors

IMAGE = encoded(png(1))
TEXTS: list[tuple[str, dict[str, Any]]] = [
    ("/embed", table(["image", "text"], [[IMAGE, ""], [IMAGE, TEXT]])),
    ("/embed", table(["text"], [[TEXT]], params={"on_error": "row"})),
    ("/score", table(["text"], [[TEXT]])),
    ("/invocations", {"dataframe_split": {"columns": ["text"], "data": [[TEXT]]}}),
    ("/embed/text", {"texts": [TEXT]}),
    ("/v1/embeddings", {"input": [TEXT]}),
    ("/v2/embed", {"texts": [TEXT]}),
    ("/predict", {"images": [IMAGE], "labels": ["mri", "x-ray"]}),
    ("/encode", {"texts": [TEXT]}),
    ("/similarity", {"a": {"images": [IMAGE]}, "b": {"texts": [TEXT]}}),
    ("/classify", images(png(1), labels=["mri", "x-ray"])),
]


@pytest.fixture
async def image_client(
    small_release: Path, engine: EmbeddingEngine, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application whose model was loaded without text encoder, with one zero-shot head."""
    save_head(zero_shot_head(engine), tmp_path / "modality")
    settings = Settings(model=str(small_release), image_only=True, heads=str(tmp_path / "modality"))
    app = create_app(settings, load_engine(settings))
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        yield client


async def test_images_are_embedded_and_classified_as_by_the_whole_model(
    image_client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    (vector,) = vectors(await image_client.post("/embed/image", json=images(png(1))), "image_features")
    assert_close(vector, image_vector(engine, png(1)))
    (row,) = await classified(image_client, png(1))
    async with serving_heads(engine, {"modality": zero_shot_head(engine)}) as client:
        (whole,) = await classified(client, png(1))
    assert [entry["label"] for entry in row] == [entry["label"] for entry in whole]
    assert [entry["score"] for entry in row] == pytest.approx([entry["score"] for entry in whole], abs=1e-4)


async def test_texts_are_refused_by_name_in_every_route(image_client: httpx.AsyncClient) -> None:
    for path, body in TEXTS:
        answer = await image_client.post(path, json=body)
        assert_refused(answer, 400, "text_encoder_not_loaded", "embeds no texts", "IMAGE_ONLY", "send only images")
    plain = await image_client.post("/embed/text", content=TEXT, headers={"content-type": "text/plain"})
    assert_refused(plain, 400, "text_encoder_not_loaded")
    counters = (await image_client.get("/info")).json()["counters"]
    assert (counters["images"], counters["texts"]) == (0, 0)


async def test_the_server_is_ready_and_says_what_it_lacks(image_client: httpx.AsyncClient) -> None:
    assert (await image_client.get("/health/ready")).status_code == 200
    info = (await image_client.get("/info")).json()
    assert (info["model"]["text_encoder"], info["heads"]) == (False, ["modality"])
