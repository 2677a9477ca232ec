"""Bad input over HTTP: status, code and place of each error; the next request is answered correctly."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
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
    picture,
    png,
    saved,
    table,
    text_vector,
    vectors,
)

IMAGE = encoded(png())
BOTH = ["image", "text"]
MOST_CHARS: int = Settings.model_fields["max_text_chars"].default
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
BAD_BASE64 = ("undecodable_image", "not valid base64")
DAMAGED = ("undecodable_image", "cut short")


@dataclass(frozen=True)
class Bad:
    """A bad body, and the error that it must get."""

    body: Any
    status: int
    code: str
    words: tuple[str, ...] = ()
    row: int | None = None
    column: str | None = None
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def place(self) -> dict[str, Any]:
        return {name: value for name, value in (("row", self.row), ("column", self.column)) if value is not None}


def malformed(body: Any, *words: str, row: int | None = None, column: str | None = None) -> Bad:
    return Bad(body, 400, "invalid_request", words, row, column)


def image_row(data: bytes | str, status: int, code: str, *words: str) -> Bad:
    """A body with a good row, followed by the given image."""
    text = data if isinstance(data, str) else encoded(data)
    words = ("Row 1", "column image", *words)
    return Bad(table(["image"], [[IMAGE], [text]]), status, code, words, 1, "image")


def texts(*rows: Any) -> dict[str, Any]:
    return table(["text"], [[row] for row in rows])


def params(**values: Any) -> dict[str, Any]:
    return texts(TEXT) | {"params": values}


BODIES = {
    "empty body": malformed(b"", "body is empty"),
    "not JSON": malformed(b'{"input_data": ', "not JSON", "line 1"),
    "not UTF-8": malformed(b'{"input_data": "\xff"}', "not JSON"),
    "nested too deep": malformed(b"[" * 50_000, "not JSON", "depth limit"),
    "nested deeper than anything needs": malformed({"params": json.loads("[" * 70 + "]" * 70)}, "64 levels"),
    "more lists than rows": Bad(b"[" * 100_000, 413, "too_many_rows", ("1024 rows need",)),
    "JSON list": malformed([], "JSON list", '"input_data"'),
    "JSON number": malformed(7, "JSON number"),
    "JSON string": malformed("input_data", "JSON string"),
    "JSON boolean": malformed(True, "JSON boolean"),
    "JSON null": malformed(None, "JSON null"),
    "missing input_data": malformed({"data": []}, "input_data is missing"),
    "input_data a list": malformed({"input_data": []}, "input_data is wrong: it must be an object; the smallest body"),
    "input_data null": malformed({"input_data": None}, "input_data is missing"),
    "missing columns": malformed({"input_data": {"data": [[TEXT]]}}, "input_data.columns is missing"),
    "missing data": malformed({"input_data": {"columns": ["text"]}}, "input_data.data is missing"),
    "data an object": malformed({"input_data": {"columns": ["text"], "data": {}}}, "input_data.data is wrong"),
    "columns empty": malformed(table([], [[]]), "input_data.columns is empty"),
    "column unknown": malformed(table(["text", "age"], [[TEXT, "7"]]), "input_data.columns[1]"),
    "column doubled": malformed(table(["text", "text"], [[TEXT, TEXT]]), 'names "text" twice', column="text"),
    "column no string": malformed(table([None], [[TEXT]]), "input_data.columns.0"),
    "no rows": malformed(table(["text"], []), "no rows"),
    "row too short": malformed(table(BOTH, [[IMAGE, TEXT], [IMAGE]]), "Row 1 has 1 values, columns has 2", row=1),
    "row too long": malformed(table(["text"], [[TEXT], [TEXT, TEXT]]), "Row 1 has 2 values, columns has 1", row=1),
    "row an object without a key": malformed(
        table(BOTH, [{"image": IMAGE, "text": TEXT}, {"image": IMAGE}]), "Row 1 lacks", '"text"', row=1, column="text"
    ),
    "row an object with a key too many": malformed(
        table(["text"], [{"text": TEXT, "age": 7}]), "Row 0 has 2 keys, columns has 1", row=0
    ),
    "row a string": malformed(table(["text"], [[TEXT], TEXT]), "Row 1 is neither", row=1),
    "row null": malformed(table(["text"], [None]), "Row 0 is neither", row=0),
    "value a number": malformed(texts(TEXT, 7), "Row 1, column text", row=1, column="text"),
    "value a list": malformed(table(["image"], [[[IMAGE]]]), "Row 0, column image", row=0, column="image"),
    "index too long": malformed(table(["text"], [[TEXT]], index=[0, 1]), "index has 2 items, data has 1 rows"),
    "index empty": malformed(table(["text"], [[TEXT]], index=[]), "index has 0 items, data has 1 rows"),
    "index a number": malformed(table(["text"], [[TEXT]], index=0), "input_data.index is wrong"),
    "1,025 rows": Bad(texts(*[TEXT] * 1025), 413, "too_many_rows", ("1025 rows", "at most 1024")),
    "row with neither an image nor a text": malformed(
        table(BOTH, [[IMAGE, TEXT], ["", None]]), "Row 1 has neither", row=1
    ),
    "params a list": malformed(texts(TEXT) | {"params": []}, "params is wrong"),
    "params a string": malformed(texts(TEXT) | {"params": "x"}, "params is wrong"),
    "scaling factor maybe": malformed(params(get_scaling_factor="maybe"), "params.get_scaling_factor"),
    "scaling factor a number": malformed(params(get_scaling_factor=1), "params.get_scaling_factor"),
    "JPEG quality 500": malformed(
        params(image_standardization_jpeg_compression_ratio=500),
        "params.image_standardization_jpeg_compression_ratio",
        "95",
    ),
    "JPEG quality -1": malformed(
        params(image_standardization_jpeg_compression_ratio=-1), "params.image_standardization_jpeg_compression_ratio"
    ),
    "image size 0": malformed(
        params(image_standardization_image_size=0), "params.image_standardization_image_size", "1"
    ),
    "image size 100,000": malformed(
        params(image_standardization_image_size=100_000), "params.image_standardization_image_size", "4096"
    ),
    "image size a string": malformed(
        params(image_standardization_image_size="512"), "params.image_standardization_image_size"
    ),
    "layout unknown": malformed(params(layout="matrix"), "params.layout"),
    "lone surrogate": Bad(texts(TEXT, "\ud800"), 400, "invalid_text", ("Row 1, column text",), 1, "text"),
    "lone surrogate in raw bytes": Bad(
        b'{"input_data": {"columns": ["text"], "data": [["\xed\xa0\x80"]]}}', 400, "invalid_text", ("Row 0",), 0, "text"
    ),
    "text over the limit": Bad(
        texts(TEXT, "a" * (MOST_CHARS + 1)), 413, "text_too_long", ("Row 1", f"at most {MOST_CHARS:,}"), 1, "text"
    ),
    "wrong content type": Bad(texts(TEXT), 415, "unsupported_content_type", headers=(("content-type", "text/csv"),)),
    "a form's content type": Bad(
        b"input_data=x",
        415,
        "unsupported_content_type",
        headers=(("content-type", "application/x-www-form-urlencoded"),),
    ),
}
IMAGES = {
    "base64 broken": image_row(IMAGE[:50] + "!" + IMAGE[50:], 400, *BAD_BASE64),
    "base64 without padding": image_row("YWJjZA", 400, *BAD_BASE64),
    "base64 in the URL alphabet": image_row("-_-_", 400, *BAD_BASE64),
    "base64 with a letter that is not ASCII": image_row("ä" * 8, 400, *BAD_BASE64),
    "base64 of nothing": image_row("data:image/png;base64,", 400, "undecodable_image", "empty"),
    "base64 of 40 MB": image_row("A" * 40_000_000, 400, "undecodable_image", "cannot be read"),
    "PNG cut short": image_row(damaged("PNG"), 400, *DAMAGED, "PNG"),
    "JPEG cut short": image_row(damaged("JPEG"), 400, *DAMAGED, "JPEG"),
    "PNG of only its signature": image_row(png()[:8], 400, "undecodable_image"),
    "text file called an image": image_row(b"Patient: Jane Doe", 400, "undecodable_image", "cannot be read as any of"),
    "SVG": image_row(SVG, 415, "unsupported_image_format", "SVG", "accepted formats are DICOM"),
    "PDF": image_row(b"%PDF-1.7", 415, "unsupported_image_format", "PDF"),
    "30,000 x 30,000 PNG": image_row(huge_png(), 413, "image_too_large", "64,000,000"),
    "9,000 x 9,000 PNG": image_row(huge_png(9_000), 413, "image_too_large", "64,000,000"),
}


@pytest.fixture
async def careful_client(client: httpx.AsyncClient, engine: EmbeddingEngine) -> AsyncIterator[httpx.AsyncClient]:
    """A client; after the test, one more request must be answered correctly."""
    yield client
    answer = await client.post("/embed", json=texts("the next request"))
    assert_close(vectors(answer, "text_features")[0], text_vector(engine, "the next request"))


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in (BODIES | IMAGES).items()])
async def test_bad_input_is_refused_with_its_place(bad: Bad, careful_client: httpx.AsyncClient) -> None:
    answer = await careful_client.post("/embed", content=bad.content, headers=bad.headers)
    assert_refused(answer, bad.status, bad.code, *bad.words, **bad.place)


def test_the_huge_png_is_a_small_body() -> None:
    assert 50_000 < len(huge_png()) < 150_000


@pytest.mark.parametrize("path", ["/embed", "/score", "/invocations", "/embed/image", "/embed/text", "/render"])
async def test_get_instead_of_post(path: str, careful_client: httpx.AsyncClient) -> None:
    answer = await careful_client.get(path)
    assert_refused(answer, 405, "method_not_allowed", "does not accept this method; use POST")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "closest"),
    [
        ("/Embed/Images", "POST /embed/image,"),
        ("/api/embed", "POST /embed,"),
        ("/embeddings", "POST /v1/embeddings,"),
        ("/healthz", "GET /health,"),
        ("/nothing", "it reads POST requests on /embed,"),
        ("/" + "x" * 50_000, "it reads POST requests on /embed, /score, /embed/image, /embed/text, /classify,"),
    ],
    ids=["plural", "prefix", "OpenAI's", "health", "a word", "a long path"],
)
async def test_an_unknown_path_is_answered_with_the_closest_route(
    path: str, closest: str, client: httpx.AsyncClient
) -> None:
    answer = await client.get(path)
    assert_refused(answer, 404, "not_found", "no such route;", closest, "and the page /docs lists all.")


async def test_a_browser_that_opens_a_route_for_programs_is_sent_to_the_page(
    client: httpx.AsyncClient, engine: EmbeddingEngine
) -> None:
    words = "use POST, as the page /docs shows, or open the page / to try the service."
    assert_refused(await client.get("/embed"), 405, "method_not_allowed", words)
    answer = await client.put("/embed")
    assert_refused(answer, 405, "method_not_allowed", "use POST, as the page /docs shows.")
    without_page = create_app(Settings(ui=False), LoadedModel(engine, imports_s=0.0))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(without_page), base_url="http://it") as other:
        assert_refused(await other.get("/embed"), 405, "method_not_allowed", "use POST, as the page /docs shows.")


def rows_with(*bad: tuple[int, str | None, str | None]) -> dict[str, Any]:
    """Ten rows of images and texts, good except for the given ones: (row, image, text)."""
    rows = [[encoded(png(number)), f"{TEXT} {number}"] for number in range(10)]
    for number, image, text in bad:
        rows[number] = [image or rows[number][0], text or rows[number][1]]
    return table(BOTH, rows)


CUT, HUGE, NO_BASE64 = encoded(damaged()), encoded(huge_png(9_000)), "?"
SURROGATE, LONG = "\udfff", "a" * (MOST_CHARS + 1)


@pytest.mark.parametrize(
    ("body", "status", "row", "column"),
    [
        pytest.param(rows_with((3, CUT, None), (7, NO_BASE64, None)), 400, 3, "image", id="pixels before base64"),
        pytest.param(rows_with((3, CUT, None), (5, HUGE, None)), 400, 3, "image", id="pixels before a header"),
        pytest.param(rows_with((5, CUT, None), (3, HUGE, None)), 413, 3, "image", id="a header before pixels"),
        pytest.param(rows_with((3, CUT, None), (1, NO_BASE64, None)), 400, 1, "image", id="base64 before pixels"),
        pytest.param(rows_with((2, None, SURROGATE), (5, NO_BASE64, None)), 400, 2, "text", id="a text before base64"),
        pytest.param(rows_with((6, None, LONG), (4, NO_BASE64, None)), 400, 4, "image", id="base64 before a text"),
        pytest.param(rows_with((6, None, LONG), (4, CUT, None)), 400, 4, "image", id="pixels before a text"),
        pytest.param(rows_with((1, None, LONG), (4, CUT, None)), 413, 1, "text", id="a text before pixels"),
        pytest.param(rows_with((8, CUT, None), (2, CUT, None), (9, CUT, None)), 400, 2, "image", id="three cut short"),
        pytest.param(
            table(["image"], [[encoded(saved(picture(1, (1500, 1500)))[:-2000])], [CUT]]), 400, 0, "image",
            id="a large one cut short before a small one",
        ),
    ],
)  # fmt: skip
async def test_the_first_bad_row_is_named_also_when_a_later_one_fails_faster(
    body: dict[str, Any], status: int, row: int, column: str, careful_client: httpx.AsyncClient
) -> None:
    answer = await careful_client.post("/embed", content=json.dumps(body))
    assert (answer.status_code, answer.json()["row"], answer.json()["column"]) == (status, row, column)
    assert f"ow {row}, column {column}" in answer.json()["message"]


async def test_the_shape_of_the_whole_table_is_checked_before_what_its_rows_hold(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json=table(BOTH, [["?", TEXT], [IMAGE], [None, None]]))
    assert_refused(answer, 400, "invalid_request", "Row 1 has 1 values", row=1)


@pytest.mark.parametrize("bad_last_row", [CUT, NO_BASE64, HUGE])
async def test_nothing_of_a_refused_request_is_computed_when_its_headers_show_it(
    bad_last_row: str, client: httpx.AsyncClient
) -> None:
    body = rows_with((9, bad_last_row, None))
    assert (await client.post("/embed", json=body)).json()["row"] == 9
    counters = (await client.get("/info")).json()["counters"]
    assert counters["images"] <= 9
    if bad_last_row != CUT:
        assert counters["images"] == counters["texts"] == 0
