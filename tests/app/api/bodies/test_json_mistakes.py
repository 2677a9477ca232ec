"""What people write who take something else for JSON."""

import httpx
import pytest

from tests.support.samples import assert_refused, png

MISTAKES = {
    "single quotes": (b"{'texts': ['a']}", "line 1, column 2 (JSON has straight double quotes"),
    "typographic quotes": ('{"texts": [\u201ca\u201d]}'.encode(), "line 1, column 12 (JSON has straight double quotes"),
    "Python's None": (b'{"texts": ["a"], "params": None}', "column 28 (JSON writes true, false and null)."),
    "names without quotes": (b'{texts: ["a"]}', "column 2 (JSON has double quotes around names)."),
    "trailing comma": (b'{"texts": ["a"],}', "column 16 (trailing comma is not allowed)."),
    "a comment": (b'{"texts": ["a"]} // a', "column 18 (unexpected content after document)."),
    "no end": (b'{"texts": ["a"]', "column 16 (unexpected end of data)."),
    "a file's name": (b"body.json", "column 1 (it begins with neither { nor [; with curl, -d @FILE sends a file)."),
    "quotes of a shell": (b"'{}'", "it begins with neither { nor ["),
    "a picture": (png(), "it begins with neither { nor ["),
    "a form": (b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n1', "it begins with neither { nor ["),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_usual_mistake_is_named_with_what_would_be_right(mistake: str, client: httpx.AsyncClient) -> None:
    body, words = MISTAKES[mistake]
    answer = await client.post("/embed/text", content=body, headers={"content-type": "application/json"})
    assert_refused(answer, 400, "invalid_request", "The body is not JSON: line ", words)
