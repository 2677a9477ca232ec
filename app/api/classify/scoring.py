"""Scores of embedded images, and the rows of the answer. Nothing here waits, so all of it may run in a thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from app.api.classify.schema import ClassifyParams
from app.api.json_parts import json_bytes
from app.errors import TooManyRows
from app.inference.pipeline import Embeddings

if TYPE_CHECKING:
    from model.heads.head import Head
    from model.heads.scorers.scorer import Scores

BYTES_PER_ENTRY = 70  # of one label in the answer, beside its text


@dataclass(frozen=True)
class EmbeddedRows:
    """Embedded images.

    Args:
        rows: row of each image.
        features: (n, D) float32, unit norm.
    """

    rows: Sequence[int]
    features: Embeddings


def check_answer_size(row_count: int, labels: Sequence[Sequence[str]], top_k: int | None, max_bytes: int) -> None:
    """Refuse a request whose answer would be too large.

    Args:
        row_count: number of rows.
        labels: the labels of each head.
        top_k: number of labels per row and head; None takes all.
        max_bytes: largest size of the answer.

    Raises:
        TooManyRows: the answer would be larger.
    """
    size = row_count * sum(sum(sorted(map(_size, names), reverse=True)[:top_k]) for names in labels)
    if size > max_bytes:
        raise TooManyRows(
            f"The answer would have about {size:,} bytes, at most {max_bytes:,} are allowed; send fewer images at "
            "once, or ask for fewer labels with params.top_k."
        )


def scores_by_row(head: "Head", embedded: EmbeddedRows, params: ClassifyParams) -> "dict[int, Scores]":
    """The scores (L,) of a head for each row.

    Args:
        head: the head, which has the scores that `params.multi_label` asks for.
        embedded: the images.
        params: of the request.
    """
    if not embedded.rows:
        return {}
    return dict(zip(embedded.rows, head.scores(embedded.features, multi_label=params.multi_label), strict=True))


def entries(head: "Head", scores: "Scores", params: ClassifyParams) -> list[dict[str, Any]]:
    """The answer of a head for one row: its labels, highest score first. Other rows are not yet Python objects.

    Args:
        head: the head.
        scores: (L,), of the row.
        params: of the request.
    """
    if head.is_regression:
        return [{"label": head.labels[0], "value": float(scores[0])}]
    order = np.argsort(-scores, kind="stable")[: params.top_k]
    best = zip([head.labels[number] for number in order.tolist()], scores[order].tolist(), strict=True)
    has_calls = bool(head.thresholds) and params.multi_label in (None, head.activation == "sigmoid")
    made = [{"label": label, "score": score} for label, score in best]
    return [_with_call(head, entry) for entry in made] if has_calls else made


def _with_call(head: "Head", entry: dict[str, Any]) -> dict[str, Any]:
    call = head.call(entry["label"], entry["score"])
    return entry if call is None else entry | {"call": call}


def _size(label: str) -> int:
    return json_bytes(label) + BYTES_PER_ENTRY
