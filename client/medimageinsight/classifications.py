"""Requests and answers of `/classify`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from medimageinsight.requests.item_call import Route

Texts = str | Sequence[str]
Labels = Iterable[str] | Mapping[str, Texts | Mapping[Literal["present", "absent"], Texts]]
Call = Literal["positive", "possible", "negative"]


@dataclass(frozen=True)
class Prediction:
    """What a head says about an image.

    Args:
        label: the label; the name of the target for a head that predicts a number.
        score: probability of the label, from 0 to 1; None for a head that predicts a number.
        call: where the score lies among the operating points of the head; None for a head without them.
        value: the number, in the unit of the target; None for a head with labels.
    """

    label: str
    score: float | None = None
    call: Call | None = None
    value: float | None = None


Predictions = list[Prediction] | dict[str, list[Prediction]]


def classification_params(
    labels: Labels | None,
    head: Texts | None,
    top_k: int | None,
    multi_label: bool | None,
    template: str | None,
) -> dict[str, Any]:
    """The parameters of a request that the caller gave.

    Raises:
        TypeError: `labels` is one string.
    """
    if isinstance(labels, str):
        raise TypeError(f"labels must be a list or a mapping of texts, not a string; write [{labels!r}] for one label")
    given: dict[str, Any] = {
        "labels": _as_json(labels),
        "head": _as_json(head),
        "top_k": top_k,
        "multi_label": multi_label,
        "template": template,
    }
    return {name: value for name, value in given.items() if value is not None}


def _as_json(texts: Any) -> Any:
    """Texts in collections of any type, as JSON has them."""
    if isinstance(texts, Mapping):
        return {name: _as_json(value) for name, value in texts.items()}
    return list(texts) if isinstance(texts, Iterable) and not isinstance(texts, str) else texts


def classification_route(params: Mapping[str, Any]) -> Route[Predictions]:
    """The route that answers with the predictions per row. Each head may have a preprocessing, and rows, of its own."""
    heads = params.get("head")
    return Route("/classify", "application/json", _results, max(1, len(heads)) if isinstance(heads, list) else 1)


def _results(answer: bytes) -> list[Predictions]:
    """The predictions of each row of an answer; with several heads, by the name of the head."""
    return [
        {head: _predictions(found) for head, found in row.items()} if isinstance(row, dict) else _predictions(row)
        for row in json.loads(answer)
    ]


def _predictions(found: Sequence[Mapping[str, Any]]) -> list[Prediction]:
    return [
        Prediction(entry["label"], score=entry.get("score"), call=entry.get("call"), value=entry.get("value"))
        for entry in found
    ]
