"""Decompression of request bodies."""

import gzip
import json
import random
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from backports import zstd

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.middleware.request_decompression import FREE_BYTES, MAX_RATIO, STEP_BYTES
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import (
    TEXT,
    assert_close,
    assert_refused,
    assert_text_vectors,
    encoded,
    image_vector,
    png,
    table,
    vectors,
)

BODY = json.dumps({"texts": [TEXT]}).encode()
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
SKIPPED = b"\x50\x2a\x4d\x18\x03\0\0\0abc"  # RFC 8878, section 3.1.2


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
        (gzip.compress(BODY) + b"{}", "gzip", 400, "invalid_request"),
        (gzip.compress(BODY) + bytes(9) + gzip.compress(BODY), "gzip", 400, "invalid_request"),
        (gzip.compress(BODY) + gzip.compress(BODY)[:-1], "gzip", 400, "invalid_request"),
        (zstd.compress(BODY) + b"{}{}{}", "zstd", 400, "invalid_request"),
        (zstd.compress(BODY) + bytes(9), "zstd", 400, "invalid_request"),
        (zstd.compress(BODY) + zstd.compress(BODY)[:-1], "zstd", 400, "invalid_request"),
        (SKIPPED, "zstd", 400, "invalid_request"),
        (BODY, "deflate", 415, "unsupported_content_type"),
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
        headers = {"content-encoding": encoding, "content-type": "application/dicom"}
        answer = await client.post("/embed/image", content=bomb, headers=headers)
        assert_refused(answer, 413, "body_too_large", "5,242,880 bytes")


def in_members(compress: Callable[[bytes], bytes], around: bytes = b"") -> bytes:
    """The body in three members or frames, with other bytes before, between and behind them."""
    return around + b"".join(compress(part) + around for part in (BODY[:1], BODY[1:9], BODY[9:]))


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        pytest.param("gzip", in_members(gzip.compress), id="members"),
        pytest.param("zstd", in_members(zstd.compress), id="frames"),
        pytest.param("gzip", in_members(gzip.compress, gzip.compress(b"")), id="empty members"),
        pytest.param("zstd", in_members(zstd.compress, zstd.compress(b"")), id="empty frames"),
        pytest.param("zstd", in_members(zstd.compress, SKIPPED), id="skippable frames"),
        pytest.param("gzip", in_members(gzip.compress) + bytes(1000), id="zeros behind the last member"),
        pytest.param("gzip", gzip.compress(b"") * 2000 + gzip.compress(BODY), id="thousands of members"),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
async def test_all_members_and_frames_make_up_the_body(
    encoding: str, content: bytes, piece: int, client: httpx.AsyncClient
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), piece):
            yield content[start : start + piece]

    answer = await client.post("/embed/text", content=pieces(), headers={"content-encoding": encoding})
    assert answer.json() == (await client.post("/embed/text", content=BODY)).json()


@pytest.mark.parametrize("encoding", COMPRESS)
async def test_members_that_end_with_a_step_are_read(encoding: str, client: httpx.AsyncClient) -> None:
    blanks = COMPRESS[encoding](b" " * STEP_BYTES)
    answer = await client.post(
        "/embed/text", content=blanks * 3 + COMPRESS[encoding](BODY), headers={"content-encoding": encoding}
    )
    assert answer.json() == (await client.post("/embed/text", content=BODY)).json()


EQUAL_ROWS = json.dumps(table(["image"], [[encoded(random.Random(0).randbytes(44_000))]] * 1024)).encode()


@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize(
    ("path", "kind", "content", "code"),
    [
        ("/embed/image", "application/dicom", bytes(8_000_000), "undecodable_image"),
        ("/embed", "application/json", EQUAL_ROWS, "undecodable_image"),
    ],
    ids=["8 MB of zeros", "1,024 equal rows"],
)
async def test_honest_bodies_that_shrink_well_are_inflated(
    path: str, kind: str, content: bytes, code: str, encoding: str, client: httpx.AsyncClient
) -> None:
    """The images are none, so that each is refused once it is read."""
    headers = {"content-encoding": encoding, "content-type": kind}
    answer = await client.post(path, content=COMPRESS[encoding](content), headers=headers)
    assert_refused(answer, 400, code, row=0, column="image")


async def test_a_body_that_inflates_from_nothing_is_refused(client: httpx.AsyncClient) -> None:
    bomb = zstd.compress(bytes(60_000_000))
    assert len(bomb) * MAX_RATIO < 60_000_000 - FREE_BYTES
    headers = {"content-encoding": "zstd", "content-type": "application/dicom"}
    answer = await client.post("/embed/image", content=bomb, headers=headers)
    assert_refused(answer, 413, "body_too_large", "1,100 times its size", "send it uncompressed")


@pytest.mark.parametrize(("encoding", "part"), [("gzip", gzip.compress(b"")), ("zstd", SKIPPED)])
async def test_a_body_of_empty_members_is_refused(encoding: str, part: bytes, client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield part * 5000

    answer = await client.post("/embed/text", content=endless(), headers={"content-encoding": encoding})
    assert_refused(answer, 413, "body_too_large", "2 times as large as what it inflates to")


async def test_a_zstd_window_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    bomb = zstd.compress(bytes(2000), options={zstd.CompressionParameter.window_log: 30})
    frame = bytearray(bomb)
    frame[4:6] = bytes([frame[4] & ~0x20, 0xA0])  # not a single segment, with a window of 2**30
    answer = await client.post("/embed/text", content=bytes(frame), headers={"content-encoding": "zstd"})
    assert_refused(answer, 400, "invalid_request")
