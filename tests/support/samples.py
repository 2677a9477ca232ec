"""Pictures, requests in the schema of the Azure endpoint, and checks of responses."""

import base64
import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.engine import EmbeddingEngine
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import AS_STORED, Rendering

TEXT = "x-ray chest anteroposterior Cardiomegaly"
TOLERANCE = 1e-5  # between a response and what the engine computes for the same item alone

Vector = NDArray[np.float32]


def picture(seed: int = 0, size: tuple[int, int] = (40, 32)) -> Image.Image:
    """A picture of colour noise; `size` is width and height. Each seed gives another picture."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(seed: int = 0) -> bytes:
    return saved(picture(seed))


def damaged(kind: str = "PNG", seed: int = 0) -> bytes:
    """A picture whose header is valid and whose pixel data is truncated."""
    whole = saved(picture(seed), kind)
    return whole[: len(whole) * 2 // 3]


def huge_png(side: int = 30_000) -> bytes:
    """A decompression bomb: a black PNG of `side` x `side` pixels at 1 bit per pixel, by default in about 100 kB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + side // 8)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def table(columns: Sequence[Any], rows: Sequence[Any], **more: Any) -> dict[str, Any]:
    """A request body. `index` in `more` goes into `input_data`; everything else, such as `params`, goes beside it."""
    index = {"index": more.pop("index")} if "index" in more else {}
    return {"input_data": {"columns": columns, "data": rows, **index}, **more}


def image_vector(
    engine: EmbeddingEngine,
    data: bytes,
    standardization: Standardization | None = Standardization(),  # noqa: B008 (frozen)
    rendering: Rendering = AS_STORED,
) -> Vector:
    """The embedding of one image file, computed by the engine without the service."""
    pixels = engine.preprocess_image(data, standardization, rendering)
    vector: Vector = engine.embed_images([engine.stage_images([pixels])])[0]
    return vector


def text_vector(engine: EmbeddingEngine, text: str) -> Vector:
    """The embedding of one text, computed by the engine without the service."""
    vector: Vector = engine.embed_texts([engine.tokenize(text)])[0]
    return vector


def vectors(answer: httpx.Response, name: str) -> Vector:
    """The vectors of one field of a response, (rows, D)."""
    assert answer.status_code == 200, answer.text
    return np.array([row[name][0] for row in answer.json()], dtype=np.float32)


def assert_close(vector: Vector, wanted: Vector) -> None:
    assert vector.shape == wanted.shape
    assert np.abs(vector - wanted).max() < TOLERANCE


def assert_text_vectors(answer: httpx.Response, engine: EmbeddingEngine, texts: Sequence[str]) -> None:
    """The answer contains the engine's own vectors of `texts`, in order."""
    for vector, text in zip(vectors(answer, "text_features"), texts, strict=True):
        assert_close(vector, text_vector(engine, text))


def assert_refused(answer: httpx.Response, status: int, code: str, *words: str, **place: Any) -> None:
    """Check an error response: status, code, a sentence with all `words`, and the row and column where they apply."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    message = answer.json()["message"]
    assert answer.json() == {"message": message, "code": code, **place}
    assert message.endswith(".")
    assert [word for word in words if word not in message] == [], message
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
