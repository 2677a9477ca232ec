"""One log line per request, and its stage timings in `Server-Timing`."""

import logging
import re

import httpx
import pytest

from app.telemetry.stage_timings import STAGES
from tests.support.samples import TEXT, table

LOGGER = "medimageinsight.requests"


async def test_one_line_per_request_without_its_contents(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger=LOGGER):
        await client.post(
            "/embed?who=SECRET", json=table(["text"], [["SECRET"], [TEXT]]), headers={"x-request-id": "7"}
        )
    (record,) = [record for record in caplog.records if record.name == LOGGER]
    message = record.getMessage()
    assert message.startswith("method=POST route=/embed status=200 rows=2 total_ms=")
    assert message.endswith("request_id=7")
    assert "SECRET" not in str(vars(record))
    assert vars(record)["device_ms"] >= 0


async def test_the_line_of_a_refused_request_has_the_code_of_its_answer(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger=LOGGER):
        for body in (b"{", b'{"texts": []}', b'{"images": ["SECRET"]}'):
            answer = await client.post("/embed/image", content=body)
            (record,) = [record for record in caplog.records if record.name == LOGGER]
            assert vars(record)["code"] == answer.json()["code"]
            assert f" status={answer.status_code} code={answer.json()['code']} rows=" in record.getMessage()
            assert "SECRET" not in str(vars(record))
            caplog.clear()


async def test_probes_are_for_debugging_only(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger=LOGGER):
        for path in ("/health/ready", "/metrics", "/ping"):
            await client.get(path)
    levels = [record.levelno for record in caplog.records if record.name == LOGGER]
    assert levels == [logging.DEBUG] * 3


@pytest.mark.parametrize("path", ["/patients/SECRET", "/embed/SECRET"])
async def test_an_unknown_path_is_not_repeated(
    path: str, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger=LOGGER):
        await client.get(path, headers={b"x-request-id": b"a b\xe9"})
    (record,) = [record for record in caplog.records if record.name == LOGGER]
    assert record.getMessage().startswith("method= route=unmatched status=404 code=not_found rows=0")
    assert record.getMessage().endswith("request_id=a?b?")
    assert "SECRET" not in str(vars(record))


async def test_answers_say_where_the_time_went(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed/text", json={"texts": [TEXT]})
    parts = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"])
    assert [stage for stage, _ in parts] == list(STAGES)
    assert sum(float(milliseconds) for _, milliseconds in parts) > 0
    assert "server-timing" not in (await client.get("/version")).headers
