"""A plain FastAPI app. Its handler is not a coroutine, so FastAPI runs it in its thread pool."""

from typing import Any

from fastapi import FastAPI

from tests.benchmarks.peer_apps.encoder import Encoder

encoder = Encoder()
app = FastAPI()


@app.get("/health/ready")
def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/embed")
def embed(body: dict[str, Any]) -> list[dict[str, Any]]:
    rows = body["input_data"]["data"]
    return [{f"{encoder.kind}_features": encoder.encode([encoder.prepare(row[0])])} for row in rows]
