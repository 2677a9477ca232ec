"""Request bodies other than valid JSON: forms, raw images, plain text, damaged JSON."""

import json
from typing import Any

import httpx
import pytest

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.samples import (
    TEXT,
    assert_close,
    assert_refused,
    damaged,
    encoded,
    huge_png,
    png,
    table,
    text_vector,
    vectors,
)

IMAGE = encoded(png())
BOUNDARY = "multipart/form-data; boundary=x"


def raw(kind: str) -> dict[str, str]:
    return {"content-type": kind}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/embed", "text/plain"),
        ("/embed", "image/png"),
        ("/embed/image", "text/plain"),
        ("/embed/image", "application/x-www-form-urlencoded"),
        ("/embed/text", "image/png"),
        ("/embed/text", "nonsense"),
    ],
)
async def test_content_types_that_a_route_does_not_read(path: str, kind: str, client: httpx.AsyncClient) -> None:
    assert_refused(
        await client.post(path, content=b"x", headers=raw(kind)), 415, "unsupported_content_type", "application/json"
    )


@pytest.mark.parametrize(
    ("path", "kind", "instead"),
    [
        ("/embed", "application/x-www-form-urlencoded", "send JSON with the header content-type: application/json"),
        ("/embed", "image/png", "/embed/image reads an image file."),
        ("/embed", "application/dicom", "/embed/image reads an image file."),
        ("/embed/image", "text/plain", "/embed/text reads a plain text."),
        ("/embed/text", BOUNDARY, "/embed reads texts and image files in a form."),
    ],
)
async def test_a_content_type_is_refused_with_the_header_or_the_route_that_is_right(
    path: str, kind: str, instead: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post(path, content=b"x", headers=raw(kind))
    assert_refused(answer, 415, "unsupported_content_type", f"; {instead}")


@pytest.mark.parametrize("path", ["/embed", "/embed/image", "/classify", "/render"])
@pytest.mark.parametrize("name", ["file", "files", "image", "images"])
async def test_a_file_name_without_its_at_sign_is_refused(path: str, name: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(path, files={name: (None, "SECRET.dcm")})
    assert_refused(answer, 400, "invalid_request", f'"{name}" is a text, not a file; put @ before the name of the file')
    assert "SECRET" not in answer.text


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/embed", "application/json"),
        ("/embed/image", "image/png"),
        ("/embed/image", "application/json"),
        ("/embed/text", "text/plain"),
    ],
)
async def test_an_empty_body(path: str, kind: str, client: httpx.AsyncClient) -> None:
    assert_refused(await client.post(path, headers=raw(kind)), 400, "invalid_request", "The body is empty")


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (b"no image", "image/png", 400, "undecodable_image"),
        (damaged(), "image/png", 400, "undecodable_image"),
        (damaged("JPEG"), "image/jpeg", 400, "undecodable_image"),
        (b"<svg></svg>", "image/svg+xml", 415, "unsupported_image_format"),
        (huge_png(), "application/octet-stream", 413, "image_too_large"),
    ],
)
async def test_a_bad_raw_image(data: bytes, kind: str, status: int, code: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/image", content=data, headers=raw(kind))
    assert_refused(answer, status, code, "Row 0", row=0, column="image")


async def test_of_several_files_the_first_bad_one_is_named(client: httpx.AsyncClient) -> None:
    files = [("f", ("a", data)) for data in (png(), damaged(), b"", b"x")]
    assert_refused(
        await client.post("/embed/image", files=files), 400, "undecodable_image", "Row 1", row=1, column="image"
    )
    files = [("f", ("a", data)) for data in (png(), b"")]
    assert_refused(
        await client.post("/embed/image", files=files), 400, "undecodable_image", "empty", row=1, column="image"
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"--x\r\n", "multipart/form-data"),
        (b"not a form", BOUNDARY),
        (b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\nb\r\n--x--\r\n', BOUNDARY),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' * 20, BOUNDARY),
        (b"--x--\r\n", BOUNDARY),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n', BOUNDARY),
    ],
)
async def test_a_form_that_is_invalid_or_has_no_file(content: bytes, kind: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/image", content=content, headers=raw(kind))
    assert_refused(answer, 400, "invalid_request", "form")


async def test_more_files_than_rows_are_allowed(engine: EmbeddingEngine) -> None:
    app = create_app(Settings(max_rows=3), LoadedModel(engine, imports_s=0.0))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        files = [("f", ("a", png()))] * 3
        assert len((await client.post("/embed/image", files=files)).json()) == 3
        answer = await client.post("/embed/image", files=[*files, files[0]])
        assert_refused(answer, 413, "too_many_rows", "more parts than the 3 files and 16 fields")


async def test_a_plain_text_that_is_not_utf_8(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/text", content="Röntgen".encode("latin-1"), headers=raw("text/plain"))
    assert_refused(answer, 400, "invalid_request", "not UTF-8")


async def test_a_plain_text_of_many_bytes_is_refused_before_it_is_decoded(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/text", content=b"a" * 900_000, headers=raw("text/plain"))
    assert_refused(answer, 413, "text_too_long", "Row 0, column text", "200,000", row=0, column="text")


@pytest.mark.parametrize(
    ("document", "words", "place"),
    [
        ([], ["JSON list"], {}),
        ({"texts": ["a", 7]}, ["Row 1, column text"], {"row": 1, "column": "text"}),
        ({"texts": ["a", ""]}, ["Row 1"], {"row": 1}),
        ({"texts": []}, ["no rows"], {}),
        ({}, ['texts is missing; the smallest body of /embed/text is {"texts": ["chest x-ray"]}'], {}),
    ],
)
async def test_bad_texts(document: Any, words: list[str], place: dict[str, Any], client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/text", json=document)
    assert_refused(answer, 400, "invalid_request", *words, **place)


@pytest.mark.parametrize(
    ("path", "document", "words"),
    [
        ("/embed/text", {"texts": [TEXT], "images": [IMAGE]}, ['"images", which /encode reads;']),
        ("/embed/text", table(["text"], [[TEXT]], images=[IMAGE]), ['"images", which /v2/embed reads;']),
        ("/embed/image", table(["image"], [[IMAGE]], texts=[TEXT]), ['"texts", which /embed/text reads;']),
    ],
)
async def test_a_key_of_another_route_is_refused_and_not_dropped(
    path: str, document: Any, words: list[str], client: httpx.AsyncClient
) -> None:
    assert_refused(await client.post(path, json=document), 400, "invalid_request", *words)


async def test_a_null_for_a_key_of_another_route_is_no_item(client: httpx.AsyncClient) -> None:
    assert (await client.post("/embed/text", json={"texts": [TEXT], "images": None})).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(json.dumps({"texts": [TEXT]}).encode("utf-16"), id="UTF-16"),
        pytest.param(json.dumps({"texts": [TEXT]}).encode("utf-8-sig"), id="byte order mark"),
        pytest.param(json.dumps(table(["text"], [[TEXT]], index=[float("nan")])).encode(), id="NaN"),
    ],
)
async def test_json_that_python_clients_may_write(
    body: bytes, client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    answer = await client.post("/embed/text", content=body)
    assert_close(vectors(answer, "text_features")[0], text_vector(engine, TEXT))


async def test_a_missing_text_that_pandas_wrote_as_nan_is_named_by_its_row(client: httpx.AsyncClient) -> None:
    body = b'{"input_data": {"columns": ["text"], "data": [["a"], [NaN]]}}'
    answer = await client.post("/embed", content=body)
    assert_refused(answer, 400, "invalid_request", "Row 1, column text", row=1, column="text")
