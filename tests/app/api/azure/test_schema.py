"""The request schema, without HTTP. tests/app/robustness/test_bad_input.py has the answers to bad input over HTTP."""

from typing import Any

import pytest

from app.api.azure.schema import parse_table, parse_texts
from app.errors import RequestInvalid, TooManyRows
from app.inference.items import Item
from tests.support.samples import table

Parsed = tuple[list[Item], list[Item]]


def parsed(document: Any) -> Parsed:
    """The image items and the text items of a document."""
    job = parse_table(document, max_rows=10)
    return list(job.images), list(job.texts)


def test_rows_are_read_in_the_order_of_the_columns() -> None:
    assert parsed(table(["image", "text"], [["i", "t"]])) == ([Item(0, "i")], [Item(0, "t")])
    images, texts = parsed(table(["text", "image"], [["t", "i"], {"image": "j", "text": "u"}]))
    assert (images, texts) == ([Item(0, "i"), Item(1, "j")], [Item(0, "t"), Item(1, "u")])
    assert parsed(table(["text"], [["t"]])) == ([], [Item(0, "t")])


@pytest.mark.parametrize("nothing", ["", None])
def test_a_missing_item_is_an_empty_string_or_null(nothing: str | None) -> None:
    assert parsed(table(["image", "text"], [["i", nothing], [nothing, "t"]])) == ([Item(0, "i")], [Item(1, "t")])
    with pytest.raises(RequestInvalid, match="Row 0 has neither an image nor a text"):
        parsed(table(["image", "text"], [[nothing, nothing]]))


def test_a_text_of_spaces_is_a_text() -> None:
    assert parsed(table(["text"], [[" "]])) == ([], [Item(0, " ")])


def test_an_index_holds_any_scalars() -> None:
    assert len(parsed(table(["text"], [["a"], ["b"], ["c"]], index=["x", 7.5, None]))[1]) == 3


def test_as_many_rows_as_allowed() -> None:
    assert len(parsed(table(["text"], [["a"]] * 10))[1]) == 10
    with pytest.raises(TooManyRows, match="11 rows, at most 10"):
        parsed(table(["text"], [["a"]] * 11))


def test_texts_alone() -> None:
    job = parse_texts({"texts": ["a", "b"], "params": {"x": 1}}, max_rows=2)
    assert (job.row_count, job.texts, job.ignored_params) == (2, [Item(0, "a"), Item(1, "b")], ("x",))


@pytest.mark.parametrize(
    ("texts", "sentence", "row"),
    [
        ([], "The request has no rows.", None),
        ("a", "texts is wrong", None),
        (["a", ""], "Row 1 has neither", 1),
        (["a", None], "Row 1 has neither", 1),
        (["a", 7], "Row 1, column text: the value must be a string or null", 1),
    ],
)
def test_texts_that_are_not_strings_are_refused(texts: Any, sentence: str, row: int | None) -> None:
    with pytest.raises(RequestInvalid, match=sentence) as bad:
        parse_texts({"texts": texts}, max_rows=10)
    assert bad.value.row == row
