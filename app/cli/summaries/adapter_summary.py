"""Summary of a trained head: what the validation rows say about it, as a table or as JSON."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from app.cli.options.shared import aligned, shown
from model.heads.head import Head

POINT = "youden"  # the operating point whose sensitivity and specificity are shown
UNDEFINED = "-"
_COLUMNS = ("label", "rows", "validation rows", "AUC", "sensitivity", "specificity")


def show(head: Head, folder: Path, *, as_json: bool) -> None:
    """Print a trained head to stdout, and the folder that it is in to stderr.

    Args:
        head: a head of `adapter train`.
        folder: the folder that it was written to.
        as_json: whether to print one JSON object instead of a table.
    """
    if as_json:
        click.echo(json.dumps({"kind": head.kind, "labels": head.labels, **head.details}, indent=2))
    else:
        for line in _regression(head) if head.is_regression else _classifier(head):
            click.echo(line)
    what = f"that predicts {shown(head.labels[0])}" if head.is_regression else f"with {len(head.labels)} labels"
    click.echo(f"{folder}: {head.kind} head {what}", err=True)


def _classifier(head: Head) -> Iterator[str]:
    details = head.details
    yield from aligned((_COLUMNS, *(_row(head, label) for label in head.labels)), are_numbers=True)
    if "accuracy" in details:
        yield f"accuracy {_number(details['accuracy'])}, balanced accuracy {_number(details['balanced_accuracy'])}"
    yield f"trained on {details['rows']} rows; measured on {details['validation_rows']} validation rows"
    use = "calibrated the scores" if head.kind == "svm" else "ended the training"
    yield f"these rows also {use} and chose the thresholds (Youden's J): expect less on new rows"


def _row(head: Head, label: str) -> tuple[str, ...]:
    found, point = head.details["per_label"][label], head.thresholds[label][POINT] or {}
    numbers = (found["auc"], point.get("sensitivity"), point.get("specificity"))
    return (shown(label), str(found["rows"]), str(found["validation_rows"]), *map(_number, numbers))


def _regression(head: Head) -> Iterator[str]:
    details = head.details
    error, of_the_median = details["mean_absolute_error"], details["mean_absolute_error_of_the_median"]
    yield f"mean absolute error {_estimate(error)}"
    yield f"mean absolute error of always answering the median {_estimate(of_the_median)}"
    yield f"trained on {details['rows']} rows; measured on {details['validation_rows']} validation rows"


def _estimate(estimate: Mapping[str, Any]) -> str:
    low, high = estimate["interval"]
    return _number(estimate["value"]) + ("" if low is None else f" [{low:.3f}, {high:.3f}]")


def _number(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.3f}"
