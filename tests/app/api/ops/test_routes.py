"""Routes for operators and probes."""

import hashlib
from importlib.metadata import version

import httpx
import pytest
from fastapi import FastAPI

from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, encoded, png, table


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_azure_liveness_probe(method: str, client: httpx.AsyncClient) -> None:
    answer = await client.request(method, "/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == ("Healthy" if method == "GET" else "")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/health/live", {"status": "live"}),
        ("/health/ready", {"status": "ready"}),
        ("/health", {"status": "ready"}),
        ("/ping", {"status": "ready"}),
        ("/version", {"version": version("medimageinsight-server")}),
    ],
)
async def test_health_and_version(path: str, body: dict[str, str], client: httpx.AsyncClient) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (200, body)


async def test_info(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    await client.post("/embed", json=table(["image", "text"], [[encoded(png()), TEXT], [encoded(png()), TEXT]]))
    await client.post("/embed", json=table(["text"], [[TEXT]]))
    info = (await client.get("/info")).json()
    assert info["model"] == {
        "name": "2024.09.27",
        "demonstration": False,
        "checkpoint": "medimageinsigt-v1.0.0.pt",
        "checkpoint_sha256": hashlib.sha256(engine.release.weights.read_bytes()).hexdigest(),
        "embedding_size": 128,
        "image_size": [480, 480],
        "context_length": 77,
        "text_encoder": True,
        "scaling_factor": 4.513362407684326,
    }
    assert (info["device"], info["dtype"], info["version"]) == ("cpu", "float32", version("medimageinsight-server"))
    assert info["threads"] >= 1
    assert info["limits"] == {
        "max_batch_size": 1,
        "text_batch_tokens": 1024,
        "concurrent_batches": min(engine.threads, 4),
        **{
            name: getattr(Settings(), name)
            for name in (
                "queue_size",
                "queue_bytes",
                "max_concurrent_requests",
                "max_rows",
                "max_labels",
                "max_body_bytes",
                "max_image_pixels",
                "max_text_chars",
            )
        },
        "request_timeout_s": 300.0,
    }
    assert info["heads"] == []
    assert info["startup"].keys() == {"imports_s", "load_s", "warm_up_s"}
    counters = info["counters"]
    assert counters["images"] == counters["image_batches"]
    assert counters["images"] + counters["shared_entries"] == 3  # of two equal images the second may come too late
    assert (counters["texts"], counters["text_batches"], counters["text_cache_hits"]) == (1, 1, 1)
    assert counters["dropped_entries"] == 0
    assert "not for clinical use" in info["notice"]
    assert str(engine.release.config.parent) not in str(info)


@pytest.mark.parametrize("path", ["/health/ready", "/health", "/ping", "/info"])
async def test_what_needs_the_model_says_503_without_one(path: str, app: FastAPI) -> None:
    """The lifespan is not started in this test, so no model is loaded."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://it") as client:
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert answer.json()["message"] == "The model is being loaded."
        assert int(answer.headers["retry-after"]) >= 1
