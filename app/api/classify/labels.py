"""Labels of a request: a list of texts, or an object from labels to texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.errors import RequestInvalid, TooManyRows
from model.errors import ManifestError
from model.evaluation.prompts import LabelPrompts, Prompts, as_prompts

HOLE = "{}"
"""What the template replaces by each text."""
_NAME = "params.labels"


def labels_from_strings(values: Sequence[str]) -> Any:
    """The labels in a query or in the fields of a form.

    Args:
        values: the values of all fields named `labels`, at least one. Several are one label each. A single one is JSON
            if it begins with `[` or `{`, otherwise texts that are separated by commas.

    Raises:
        RequestInvalid: the single value begins as JSON does and is not JSON.
    """
    if len(values) > 1:
        return list(values)
    only = values[0].strip()
    if not only.startswith(("[", "{")):
        return [text.strip() for text in only.split(",")]
    try:
        return orjson.loads(only)
    except orjson.JSONDecodeError:
        raise RequestInvalid("labels begins as JSON does, but is not JSON.") from None


def prompts_of(labels: Any, template: str, *, max_labels: int) -> Prompts:
    """The texts of each label.

    Args:
        labels: texts, or an object from labels to values as `as_prompts` takes them.
        template: a text with one `{}`, which is replaced by each text of the labels.
        max_labels: largest number of labels, and of their texts.

    Raises:
        RequestInvalid: the labels or the template have another form; the message names the first wrong entry.
        TooManyRows: there are too many labels or texts.
    """
    if template.count(HOLE) != 1:
        raise RequestInvalid(f"params.template must have {HOLE} exactly once, where the text of a label stands.")
    if not isinstance(labels, list | Mapping):
        raise RequestInvalid(f"{_NAME} must be a list of texts, or an object from labels to texts.")
    if not labels:
        raise RequestInvalid(f"{_NAME} is empty; send at least one label.")
    _check_count(len(labels), "labels", max_labels)
    prompts = _from_list(labels) if isinstance(labels, list) else _from_object(labels)
    _check_count(sum(len(texts.present) + len(texts.absent) for texts in prompts.values()), "texts", max_labels)
    return {
        label: LabelPrompts(_filled(template, texts.present), _filled(template, texts.absent))
        for label, texts in prompts.items()
    }


def label_without_absent(prompts: Prompts) -> str | None:
    """The first label that has no texts for its absence, as it is named in messages; None if all have some."""
    number = next((number for number, texts in enumerate(prompts.values()) if not texts.absent), None)
    return None if number is None else f"label {number}"


def _from_list(labels: Sequence[Any]) -> dict[str, LabelPrompts]:
    prompts: dict[str, LabelPrompts] = {}
    for number, label in enumerate(labels):
        if not isinstance(label, str) or not label.strip():
            raise RequestInvalid(f"{_NAME}[{number}] must be a text that is not blank.", row=number, column="labels")
        if label in prompts:
            raise RequestInvalid(
                f"{_NAME}[{number}] repeats an earlier label; send each label once.", row=number, column="labels"
            )
        prompts[label] = LabelPrompts((label,))
    return prompts


def _from_object(labels: Mapping[str, Any]) -> dict[str, LabelPrompts]:
    prompts: dict[str, LabelPrompts] = {}
    for number, (label, value) in enumerate(labels.items()):
        if not _is_whole(label):
            raise RequestInvalid(
                f"{_NAME}, label {number}: its name contains half of a surrogate pair.", row=number, column="labels"
            )
        try:
            prompts |= as_prompts({label: value if label.strip() else None})
        except ManifestError:  # its message quotes the label
            raise RequestInvalid(
                f"{_NAME}, label {number}: its value must be a text, a list of texts, or these under present and "
                "absent, and nothing may be blank.",
                row=number,
                column="labels",
            ) from None
    return prompts


def _is_whole(label: str) -> bool:
    """Whether the answer can have the label: JSON is UTF-8, which has no halves of surrogate pairs."""
    try:
        label.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_count(count: int, what: str, most: int) -> None:
    if count > most:
        raise TooManyRows(f"{_NAME} has {count:,} {what}, at most {most:,} are allowed; send fewer.")


def _filled(template: str, texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(template.replace(HOLE, text) for text in texts)
