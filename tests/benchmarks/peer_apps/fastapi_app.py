"""(d) A plain FastAPI app: a handler that is no coroutine, which FastAPI runs in its pool of threads."""

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
