"""The request schema, without HTTP; what bad input is answered over HTTP stands in test_bad_input.py."""

from typing import Any

import pytest

from app.api.azure.schema import Row, parse_embed, parse_texts
from app.errors import RequestInvalid, TooManyRows
from tests.support.samples import table


def parsed(document: Any, **options: Any) -> list[Row]:
    return list(parse_embed(document, **{"max_rows": 10} | options).rows)


def test_rows_are_read_in_the_order_of_the_columns() -> None:
    assert parsed(table(["image", "text"], [["i", "t"]])) == [Row("i", "t")]
    assert parsed(table(["text", "image"], [["t", "i"], {"image": "j", "text": "u"}])) == [Row("i", "t"), Row("j", "u")]
    assert parsed(table(["text"], [["t"]])) == [Row(None, "t")]


@pytest.mark.parametrize("nothing", ["", None])
def test_a_missing_side_is_an_empty_string_or_null(nothing: str | None) -> None:
    assert parsed(table(["image", "text"], [["i", nothing], [nothing, "t"]])) == [Row("i", None), Row(None, "t")]
    with pytest.raises(RequestInvalid, match="Row 0 has neither an image nor a text"):
        parsed(table(["image", "text"], [[nothing, nothing]]))


def test_a_text_of_spaces_is_a_text() -> None:
    assert parsed(table(["text"], [[" "]])) == [Row(None, " ")]


def test_an_index_holds_any_scalars() -> None:
    assert len(parsed(table(["text"], [["a"], ["b"], ["c"]], index=["x", 7.5, None]))) == 3


def test_as_many_rows_as_allowed() -> None:
    assert len(parsed(table(["text"], [["a"]] * 10))) == 10
    with pytest.raises(TooManyRows, match="11 rows, at most 10"):
        parsed(table(["text"], [["a"]] * 11))


def test_texts_alone() -> None:
    embed = parse_texts({"texts": ["a", "b"], "params": {"x": 1}}, max_rows=2)
    assert (embed.rows, embed.ignored_params) == ([Row(None, "a"), Row(None, "b")], ("x",))


@pytest.mark.parametrize(
    ("texts", "sentence", "row"),
    [
        ([], "The request has no rows.", None),
        ("a", "texts is wrong", None),
        (["a", ""], "Row 1 has neither", 1),
        (["a", None], "Row 1 has neither", 1),
        (["a", 7], "Row 1, column text: a string or null is needed", 1),
    ],
)
def test_texts_that_are_none(texts: Any, sentence: str, row: int | None) -> None:
    with pytest.raises(RequestInvalid, match=sentence) as bad:
        parse_texts({"texts": texts}, max_rows=10)
    assert bad.value.row == row
