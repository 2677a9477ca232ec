"""The table of status codes, and unexpected exceptions."""

import json
import logging
from collections.abc import Iterator

import httpx
import pytest

import app.errors
import model.errors
from app.api.error_handlers import STATUS
from app.errors import ServiceError
from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from tests.support.held_engine import HeldEngine
from tests.support.samples import TEXT, assert_refused, assert_text_vectors, encoded, png, table


def leaves(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from leaves(child)


@pytest.mark.parametrize("kind", [*leaves(ServiceError), *leaves(model.errors.InvalidInput)])
def test_every_refusal_has_a_status_and_a_code(kind: type[Exception]) -> None:
    status, code = STATUS[kind]
    assert status in (400, 401, 403, 404, 408, 413, 415, 429, 431, 503, 504)
    assert code.replace("_", "").isalpha()
    assert code == code.lower()


def test_codes_are_of_one_kind_each() -> None:
    assert len({code for _, code in STATUS.values()}) == len(STATUS)


@pytest.mark.parametrize("module", [app.errors, model.errors])
def test_the_tree_at_the_top_of_the_file_is_complete(module: object) -> None:
    kinds = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Exception)]
    own = [kind.__name__ for kind in kinds if kind.__module__ == module.__name__ and kind.__name__ != "RowError"]  # type: ignore[attr-defined]
    assert [name for name in own if name not in str(module.__doc__)] == []


class FaultyEngine(HeldEngine):
    """An engine that raises an error with its input in the message, as libraries do."""

    def tokenize_counted(self, text: str) -> tuple[tuple[int, ...], int]:
        if "Jane" in text:
            raise RuntimeError(f"cannot tokenize {text!r}")
        return super().tokenize_counted(text)


async def test_a_fault_of_the_service_is_500_with_the_request_id_and_no_detail(
    engine: EmbeddingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(), LoadedModel(FaultyEngine(engine), imports_s=0.0))
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)  # nothing may reach the server, which would log it
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as client:
        body = table(["text"], [["Jane Doe"]])
        answer = await client.post("/embed", json=body, headers={"x-request-id": "r7", "x-ms-client-request-id": "c7"})
        assert_refused(answer, 500, "internal_error", "r7")
        assert (answer.headers["x-request-id"], answer.headers["x-ms-client-request-id"]) == ("r7", "c7")
        assert_text_vectors(await client.post("/embed", json=table(["text"], [[TEXT]])), engine, [TEXT])
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "r7" in record.getMessage()
    assert "in tokenize_counted" in caplog.text  # where it happened
    assert "Jane" not in answer.text
    assert "Jane" not in caplog.text.replace('if "Jane" in text:', "")


SECRET = "SECRET-7f3a"


@pytest.mark.parametrize(
    "body",
    [
        {SECRET: SECRET},
        {"input_data": SECRET},
        {"input_data": {"columns": [SECRET], "data": [[SECRET]]}},
        {"input_data": {"columns": ["text", "text", SECRET], "data": [[SECRET]]}},
        {"input_data": {"columns": SECRET, "data": SECRET}},
        {"input_data": {"columns": ["text"], "data": [{"text": "a", SECRET: SECRET}]}},
        {"input_data": {"columns": ["text"], "data": [{SECRET: SECRET}]}},
        {"input_data": {"columns": ["text"], "data": [[SECRET, SECRET]]}},
        {"input_data": {"columns": ["text"], "data": [[{SECRET: SECRET}]]}},
        {"input_data": {"columns": ["text"], "data": [[f"{SECRET}\ud800"]]}},
        {"input_data": {"columns": ["text"], "index": [SECRET, SECRET], "data": [["a"]]}},
        {"input_data": {"columns": ["image"], "data": [[SECRET]]}},
        {"input_data": {"columns": ["image"], "data": [[encoded(SECRET.encode())]]}},
        {"input_data": {"columns": ["image"], "data": [[encoded(png()[:40] + SECRET.encode())]] * 3}},
        {"input_data": {"columns": ["image"], "data": [[encoded(png()[:33] + SECRET.encode() * 9)]]}},
        *(
            {"input_data": {"columns": ["text"], "data": [["a"]]}, "params": params}
            for params in (
                SECRET,
                [SECRET],
                {"layout": SECRET},
                {"get_scaling_factor": SECRET},
                {"image_standardization_image_size": SECRET},
                {"image_standardization_jpeg_compression_ratio": SECRET},
            )
        ),
        {"texts": SECRET},
        {"texts": [[SECRET]]},
        {"texts": [f"{SECRET}\udfff"]},
        f'{{"input_data": "{SECRET}'.encode(),
        f'{{"input_data": {SECRET}}}'.encode(),
        b'{"input_data": "%s\xff"}' % SECRET.encode(),
    ],
)
async def test_no_error_body_header_or_log_holds_a_part_of_the_payload(
    body: object, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = "/embed/text" if isinstance(body, dict) and "texts" in body else "/embed"
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = await client.post(path, content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    for told in (answer.text, str(answer.headers), caplog.text):
        assert SECRET.lower() not in told.lower()


@pytest.mark.parametrize("path", [f"/{SECRET}", f"/embed/{SECRET}", f"/static-offline-docs/{SECRET}", f"/%0a{SECRET}"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_error_body_header_or_log_holds_a_path(
    method: str, path: str, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.request(method, path, params={"q": SECRET}, content=SECRET.encode())
    assert answer.status_code in (404, 405)
    assert answer.json().keys() == {"message", "code"}
    for told in (answer.text, str(answer.headers), caplog.text):
        assert SECRET not in told


async def test_a_form_of_secrets_stays_one(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    files = {SECRET: (SECRET, SECRET.encode(), f"image/{SECRET}")}
    answer = await client.post("/embed/image", files=files, data={SECRET: SECRET})
    assert_refused(answer, 400, "undecodable_image", row=0, column="image")
    for told in (answer.text, str(answer.headers), caplog.text):
        assert SECRET not in told
