"""Compression of large answers."""

import httpx
import pytest

from app.api.response_compression import MIN_BYTES
from tests.support.samples import TEXT


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip, zstd", "zstd"), ("gzip", "gzip"), ("zstd;q=0, br", "")])
async def test_large_answers_are_compressed_with_an_accepted_encoding(
    accepted: str, encoding: str, client: httpx.AsyncClient
) -> None:
    texts = {"texts": [f"{TEXT} {number}" for number in range(16)]}
    plain = await client.post("/embed/text", json=texts, headers={"accept-encoding": "identity"})
    packed = await client.post("/embed/text", json=texts, headers={"accept-encoding": accepted})
    assert packed.headers.get("content-encoding", "") == encoding
    assert packed.json() == plain.json()
    assert len(plain.content) > MIN_BYTES
    assert packed.headers["vary"] == "accept-encoding"
    small = await client.post("/embed/text", json={"texts": [TEXT]}, headers={"accept-encoding": accepted})
    assert ("content-encoding" in small.headers) == (len(small.content) > MIN_BYTES and bool(encoding))
