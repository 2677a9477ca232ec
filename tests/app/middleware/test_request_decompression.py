"""Decompression of request bodies."""

import gzip
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from backports import zstd

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.middleware.request_decompression import STEP_BYTES
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_close, assert_refused, assert_text_vectors, image_vector, png, vectors

BODY = json.dumps({"texts": [TEXT]}).encode()
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", COMPRESS)
async def test_a_compressed_body_is_inflated(encoding: str, client: httpx.AsyncClient) -> None:
    plain = await client.post("/embed/text", content=BODY)
    packed = await client.post(
        "/embed/text", content=COMPRESS[encoding](BODY), headers={"content-encoding": encoding.upper()}
    )
    assert packed.json() == plain.json()


async def test_a_body_of_many_steps_arrives_whole(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    padded = b" " * (3 * STEP_BYTES) + BODY + b" " * STEP_BYTES
    for encoding, compress in COMPRESS.items():
        answer = await client.post("/embed/text", content=compress(padded), headers={"content-encoding": encoding})
        assert_text_vectors(answer, engine, [TEXT])


async def test_a_body_that_trickles_in_arrives_whole(client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    data = gzip.compress(png())
    pieces = (data[start : start + 7] for start in range(0, len(data), 7))

    async def trickle() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    headers = {"content-encoding": "gzip", "content-type": "image/png"}
    answer = await client.post("/embed/image", content=trickle(), headers=headers)
    assert_close(vectors(answer, "image_features")[0], image_vector(engine, png()))


@pytest.mark.parametrize(
    ("content", "encoding", "status", "code"),
    [
        (BODY, "gzip", 400, "invalid_request"),
        (BODY, "zstd", 400, "invalid_request"),
        (gzip.compress(BODY)[:-9], "gzip", 400, "invalid_request"),
        (zstd.compress(BODY)[:-2], "zstd", 400, "invalid_request"),
        (b"", "gzip", 400, "invalid_request"),
        (BODY, "br", 415, "unsupported_content_type"),
        (BODY, "gzip, gzip", 415, "unsupported_content_type"),
    ],
)
async def test_bad_compression_is_refused(
    content: bytes, encoding: str, status: int, code: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/embed/text", content=content, headers={"content-encoding": encoding})
    assert_refused(answer, status, code)


@pytest.mark.parametrize("encoding", COMPRESS)
async def test_a_bomb_is_refused_when_it_reaches_the_limit(encoding: str, engine: EmbeddingEngine) -> None:
    bomb = COMPRESS[encoding](bytes(200_000_000))
    assert len(bomb) < 250_000
    app = create_app(Settings(max_body_bytes=5 * STEP_BYTES), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        answer = await client.post("/embed/text", content=bomb, headers={"content-encoding": encoding})
        assert_refused(answer, 413, "body_too_large", "5,242,880 bytes")


async def test_a_zstd_window_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    bomb = zstd.compress(bytes(2000), options={zstd.CompressionParameter.window_log: 30})
    frame = bytearray(bomb)
    frame[4:6] = bytes([frame[4] & ~0x20, 0xA0])  # not a single segment, with a window of 2**30
    answer = await client.post("/embed/text", content=bytes(frame), headers={"content-encoding": "zstd"})
    assert_refused(answer, 400, "invalid_request")
