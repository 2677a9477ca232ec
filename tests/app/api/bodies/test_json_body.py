"""JSON that arrives in pieces: its document is that of a parser of the whole body, and its cost is bounded."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.bodies import json_body
from app.api.bodies.json_body import JsonBody
from app.api.bodies.json_strings import MAX_TEXT_BYTES
from app.api.bodies.slices import SLICE_BYTES
from app.errors import BodyTooLarge, RequestInvalid, TextTooLong, TooManyRows
from tests.support.samples import assert_refused


def document(body: bytes, piece: int = SLICE_BYTES, *, max_rows: int = 1024) -> Any:
    """The document of a body that arrives in pieces of a number of bytes."""
    parsed = JsonBody(max_rows=max_rows)
    for start in range(0, len(body), piece):
        parsed.feed(body[start : start + piece])
    return parsed.document()


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_infinity=False, allow_nan=False) |
    st.text(st.sampled_from('ab"\\/\n\t{}[],:é中😀\u2028\x7f')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\é', max_size=4), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(value=values, piece=st.integers(4, 40), ascii_only=st.booleans(), indent=st.none() | st.just(1))
def test_a_document_in_pieces_is_the_whole_document(value: Any, piece: int, ascii_only: bool, indent: int) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert document(body, piece) == value


@pytest.mark.parametrize("content", ["é", "\\u00e9", "\\ud83d\\ude00", "😀", '\\"', "\\\\", "a\\n", "\\ud83d", "QUJD"])
@pytest.mark.parametrize("offset", range(13))
def test_a_long_string_is_cut_between_characters(content: str, offset: int) -> None:
    body = f'["{"x" * offset}{content * 9_000}{"plain text " * 2_000}{content * 9_000}"]'.encode()
    assert document(body) == json.loads(body)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be", "utf-8-sig"])
def test_other_encodings_of_unicode_are_read(encoding: str) -> None:
    assert document(json.dumps({"a": ["é中😀"] * 9}, ensure_ascii=False).encode(encoding), 7) == {"a": ["é中😀"] * 9}


def test_nan_and_duplicate_names_are_read_as_by_the_standard_library() -> None:
    assert document(b'{"a": 1, "a": Infinity}') == {"a": float("inf")}
    assert document(b'{"a": "x", "\\u0061": "y"}') == {"a": "y"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": ', "line 1, column 7 (unexpected end of data)"),
        (b'{"abc": "def",\n "g": "hij" x}', "line 2, column 13"),
        (b'["' + b"x" * 50_000 + b'", x]', "line 1, column 50006"),
        (b'{"a":\n\n  "b', "line 3, column 3 (a string without an end)"),
        (b'{"a":\n  "\\x"}', "line 2, column 3 (invalid escaped sequence in string)"),
        (b'["' + b"x" * 50_000 + b'\n"]', "line 1, column 2 (unexpected control character in string)"),
        (b'["a", "\xff"]', "line 1, column 7."),
        (b"[1 2]", "line 1, column 4"),
        (b'{"a" "b"}', "line 1, column 6"),
        (b'["a""b"]', "line 1, column 5"),
        (b"   ", "not JSON"),
        (b"\xff\xfe[", "not JSON"),
        (b"[" * 50_000, "depth limit"),
        (b"[" * 65 + b"]" * 65, "nested deeper than 64 levels"),
    ],
)
def test_what_is_not_json_is_refused_with_its_line_and_column(body: bytes, words: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        document(body)
    assert words in str(refused.value)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(body=st.text('{}[],:"\\ \n1eNa', max_size=30).map(str.encode), piece=st.integers(4, 9))
def test_any_bytes_are_parsed_or_refused_as_by_the_standard_library(body: bytes, piece: int) -> None:
    try:
        wanted = json.loads(body)
    except ValueError:
        with pytest.raises(RequestInvalid):
            document(body, piece)
    else:
        assert repr(document(body, piece)) == repr(wanted)


@pytest.mark.parametrize(
    "part", [b"[],", b"{},", b'{"a":0},', b"0,", b"9", b'"",', b'{"":', b'"a":0,', b"[", b'{"image":"","text":""},']
)
def test_a_body_of_too_many_values_is_refused_before_it_is_complete(part: bytes) -> None:
    piece = b"[" + part * (SLICE_BYTES // len(part))
    with pytest.raises(TooManyRows, match="than 1024 rows need"):
        document(piece * 40, len(piece))


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("max_rows", [1, 1024, 20_000])
def test_the_most_rows_of_either_form_fit(max_rows: int, indent: int | None) -> None:
    record = {"image": "QUJD", "text": "chest x-ray"}
    table = {"columns": ["image", "text"], "index": list(range(10**6, 10**6 + max_rows)), "data": [record] * max_rows}
    for value in ({"dataframe_split": table}, {"dataframe_records": [record] * max_rows}):
        assert document(json.dumps(value, indent=indent).encode(), max_rows=max_rows) == value


def test_blanks_and_strings_that_are_not_base64_are_bounded() -> None:
    with pytest.raises(BodyTooLarge, match="blanks"):
        document(b"[" + b" " * (json_body.MAX_BLANKS + 1) + b"]")
    for content in ("é".encode(), b"\\u00e9", b"\\u002f", b"\\n\\u002f"):
        assert len(document(b'["%b"]' % (content * (2**20 // len(content))))[0]) > 100_000
        with pytest.raises(TextTooLong, match="not base64"):
            document(b'["%b"]' % (content * (2 * MAX_TEXT_BYTES // len(content) + 1)))
    base64_with_escapes = b'["%b"]' % (b"QUJD" * 19 + b"\\r\\n\\/") * 1
    assert document(base64_with_escapes) == json.loads(base64_with_escapes)
    assert len(document(b'["%b"]' % ((b"QUJD" * 19 + b"\\n") * 120_000))[0]) == 77 * 120_000


@pytest.mark.parametrize("content", [b"\\/", b"\\n", b'\\"', b"\\\\", b"QUJD\\/"])
@pytest.mark.parametrize("offset", range(2))
def test_a_string_of_short_escapes_may_be_as_long_as_base64(content: bytes, offset: int) -> None:
    body = b'["%b%b"]' % (b"x" * offset, content * 4_000_000)
    assert document(body) == json.loads(body)


@pytest.mark.parametrize(
    ("encoding", "rest"), [("utf-16-le", b"\x00\xd8"), ("utf-16-be", b"\xd8\x00"), ("utf-16-le", b"]")]
)
def test_a_body_that_ends_within_a_character_is_refused(encoding: str, rest: bytes) -> None:
    body = "[1]".encode(encoding)
    assert document(body) == [1]
    with pytest.raises(RequestInvalid, match="The body is not JSON"):
        document(body + rest)


async def test_a_body_of_too_many_records_is_refused_by_name(client: httpx.AsyncClient) -> None:
    body = b'{"dataframe_records": [' + b"{}," * 3_000_000 + b"{}]}"
    answer = await client.post("/invocations", content=body)
    assert_refused(answer, 413, "too_many_rows", "than 1024 rows need", "send fewer rows")


async def test_a_few_rows_too_many_are_counted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/invocations", json={"dataframe_records": [{"image": "QUJD", "text": "a"}] * 3000})
    assert_refused(answer, 413, "too_many_rows", "3000 rows, at most 1024")


async def test_many_wrong_columns_are_refused_at_the_first(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json={"input_data": {"columns": [0] * 30_000, "data": []}})
    assert_refused(answer, 400, "invalid_request", "input_data.columns.0 is wrong")
