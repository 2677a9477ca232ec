"""Labels of a request: their forms in JSON, in a query and in a form, and what is refused."""

from typing import Any

import pytest

from app.api.classify.labels import labels_from_strings, prompts_of
from app.errors import RequestInvalid, TooManyRows
from model.evaluation.prompts import LabelPrompts


def test_a_list_has_one_text_per_label() -> None:
    assert prompts_of(["mri", "x-ray"], "a {}.", max_labels=2) == {
        "mri": LabelPrompts(("a mri.",)),
        "x-ray": LabelPrompts(("a x-ray.",)),
    }


def test_an_object_has_texts_and_negative_texts_per_label() -> None:
    given = {"a": "one", "b": ["two", "three"], "c": {"present": "yes", "absent": ["no", "none"]}}
    assert prompts_of(given, "{}", max_labels=10) == {
        "a": LabelPrompts(("one",)),
        "b": LabelPrompts(("two", "three")),
        "c": LabelPrompts(("yes",), ("no", "none")),
    }


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["mri"], ["mri"]),
        (["mri, x-ray chest"], ["mri", "x-ray chest"]),
        (["opacity, left", "opacity, right"], ["opacity, left", "opacity, right"]),
        (['["opacity, left", "mri"]'], ["opacity, left", "mri"]),
        (['{"left": ["one", "two"]}'], {"left": ["one", "two"]}),
        (["mri,"], ["mri", ""]),
    ],
    ids=["one", "commas", "repeated", "a JSON list", "a JSON object", "an empty one, which is refused later"],
)
def test_a_query_repeats_labels_or_has_json_or_commas(values: list[str], labels: Any) -> None:
    assert labels_from_strings(values) == labels


def test_a_single_value_that_only_begins_as_json_is_refused() -> None:
    with pytest.raises(RequestInvalid, match="begins as JSON does, but is not JSON"):
        labels_from_strings(['["mri"'])


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([], "params.labels is empty"),
        ({}, "params.labels is empty"),
        ("mri", "must be a list of texts, or an object"),
        (7, "must be a list of texts, or an object"),
        (["mri", "x-ray", "mri"], r"params.labels\[2\] repeats an earlier label"),
        (["mri", "  "], r"params.labels\[1\] must be a text that is not blank"),
        (["mri", None], r"params.labels\[1\] must be a text that is not blank"),
        ({"mri": "a", " ": "b"}, "params.labels, label 1: its value must be a text"),
        ({"mri": []}, "params.labels, label 0: "),
        ({"mri": ["a", " "]}, "params.labels, label 0: "),
        ({"mri": {"absent": "no mri"}}, "params.labels, label 0: "),
        ({"mri": {"present": "mri", "and": "more"}}, "params.labels, label 0: "),
        ({"mri": "mri", "\ud800": "ct"}, "params.labels, label 1: its name contains half of a surrogate pair"),
    ],
    ids=str,
)
def test_wrong_labels_are_refused_by_their_place(labels: Any, sentence: str) -> None:
    with pytest.raises(RequestInvalid, match=sentence):
        prompts_of(labels, "{}", max_labels=5)


def test_more_labels_or_texts_than_allowed_are_refused() -> None:
    with pytest.raises(TooManyRows, match="has 3 labels, at most 2 are allowed"):
        prompts_of(["a", "b", "c"], "{}", max_labels=2)
    with pytest.raises(TooManyRows, match="has 3 texts, at most 2 are allowed"):
        prompts_of({"a": ["x", "y"], "b": "z"}, "{}", max_labels=2)


@pytest.mark.parametrize("template", ["a scan", "", "{} or {}"])
def test_a_template_has_one_place_for_the_label(template: str) -> None:
    with pytest.raises(RequestInvalid, match=r"params.template must have \{\} exactly once"):
        prompts_of(["mri"], template, max_labels=2)
