"""Files of one head's predictions with one line per image, as CSV or Parquet: what `adapter apply` writes."""

import csv
from collections.abc import Iterator
from pathlib import Path

from app.cli.predictions.prediction import Predictions
from model.data.text_lines import as_utf8
from model.heads.head import Head

THRESHOLDS = ("sensitivity_90", "youden")

Cell = str | float | int | None


def write_wide_csv(predictions: Predictions, path: Path) -> None:
    """Write CSV in UTF-8. A name that is not UTF-8 keeps the bytes that it has on disk.

    The columns are the path, the likeliest label if each image has one, and for each label its score and whether the
    score reaches each threshold (1 or 0; empty without this threshold). A regression has the path and the number.
    """
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_columns(_head(predictions)))
        for row in _rows(predictions):
            writer.writerow(f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row)


def write_wide_parquet(predictions: Predictions, path: Path) -> None:
    """Write Parquet with the columns of `write_wide_csv`. A name that is not UTF-8 gets backslash escapes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths, *others = zip(*_rows(predictions), strict=True)
    names = [as_utf8(path) for path in paths]
    # A label may have the name of another column.
    columns = [pa.array(column) for column in (names, *others)]
    pq.write_table(pa.Table.from_arrays(columns, names=_columns(_head(predictions))), path)


def _head(predictions: Predictions) -> Head:
    (head,) = predictions.heads.values()
    return head


def _columns(head: Head) -> list[str]:
    if head.is_regression:
        return ["path", *head.labels]
    likeliest = ["label"] if head.activation == "softmax" else []
    ends = ("", *(f" at {threshold}" for threshold in THRESHOLDS))
    return ["path", *likeliest, *(f"{label}{end}" for label in head.labels for end in ends)]


def _rows(predictions: Predictions) -> Iterator[list[Cell]]:
    head = _head(predictions)
    (scores,) = predictions.scores.values()
    for position in predictions.positions:
        yield [str(predictions.images[position].path), *_cells(head, scores[position].tolist())]


def _cells(head: Head, scores: list[float]) -> Iterator[Cell]:
    """The cells of one image behind its path."""
    if head.activation == "softmax":
        yield head.labels[scores.index(max(scores))]
    for label, score in zip(head.labels, scores, strict=True):
        yield score
        if not head.is_regression:
            points = (head.thresholds.get(label, {}).get(name) for name in THRESHOLDS)
            yield from (None if point is None else int(score >= point["threshold"]) for point in points)
