"""Forms, with fields and charsets that cost more than they are worth."""

import encodings

import httpx
import pytest

from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import TEXT, assert_refused, assert_text_vectors

MOST_CHARS: int = Settings.model_fields["max_text_chars"].default


def form(*parts: bytes) -> bytes:
    return b"".join(b"--x\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--x--\r\n"


def text(value: bytes) -> bytes:
    return b'name="text"\r\n\r\n' + value


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", '"us-ascii"', "latin1"])
async def test_a_usual_charset_is_read(charset: str, client: httpx.AsyncClient, engine: EmbeddingEngine) -> None:
    headers = {"content-type": f"multipart/form-data; charset={charset}; boundary=x"}
    answer = await client.post("/embed", content=form(text(TEXT.encode())), headers=headers)
    assert_text_vectors(answer, engine, [TEXT])


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "zlib", "unknown"])
async def test_any_other_charset_is_refused(charset: str, client: httpx.AsyncClient) -> None:
    headers = {"content-type": f"multipart/form-data; charset={charset}; boundary=x"}
    answer = await client.post("/embed", content=form(text(b"a" * 100_000 + b"-" + b"a" * 100_000)), headers=headers)
    assert_refused(answer, 415, "unsupported_content_type", "charset is not UTF-8")


@pytest.mark.parametrize(("length", "message"), [(900, "charset is not UTF-8"), (60_000, "1,000 characters")])
async def test_a_long_charset_is_refused_and_not_kept(length: int, message: str, client: httpx.AsyncClient) -> None:
    headers = {"content-type": f"multipart/form-data; charset={'x' * length}; boundary=x"}
    answer = await client.post("/embed", content=form(text(b"a")), headers=headers)
    assert_refused(answer, 415, "unsupported_content_type", message)
    assert "x" * length not in encodings._cache


@pytest.mark.parametrize("path", ["/embed", "/embed/image", "/render"])
async def test_the_value_of_a_field_is_bounded(path: str, client: httpx.AsyncClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await client.post(path, content=form(text(b"a" * (4 * MOST_CHARS + 1))), headers=headers)
    assert_refused(answer, 413, "text_too_long", f"{MOST_CHARS:,} characters")


@pytest.mark.parametrize("part", [text(b"a"), b'name="f"; filename="a"\r\n\r\na'], ids=["fields", "files"])
async def test_a_hundred_thousand_parts_are_refused(part: bytes, client: httpx.AsyncClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await client.post("/embed", content=form(*[part] * 100_000), headers=headers)
    assert_refused(answer, 413, "too_many_rows", "more parts than the 1024 files and 1040 fields")
