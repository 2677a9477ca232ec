"""Confusion matrix of a task, as a table of the page."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_LABELS = 60  # of a matrix in the page; report.json has every matrix
MOST_PAIRS = 20
SHADES = 9  # of the cells, from 1; 0 is no shade


@dataclass(frozen=True)
class Cell:
    """A cell: its number of rows, and its shade, 0 to `SHADES`, by its share of the rows of the true label."""

    count: int
    shade: int


@dataclass(frozen=True)
class Pair:
    """Rows of one label that are predicted as another one."""

    label: str
    predicted: str
    rows: int
    of: int


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix.

    Attributes:
        labels: the labels; a cell's row is its true label, its column the predicted one.
        cells: the cells by row; empty if there are more than `MOST_LABELS` labels.
        right: rows on the diagonal.
        rows: all rows.
        pairs: the `MOST_PAIRS` most frequent mistakes.
    """

    labels: Sequence[str]
    cells: Sequence[Sequence[Cell]]
    right: int
    rows: int
    pairs: Sequence[Pair]


def confusion_of(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Confusion:
    """The confusion matrix of a report, with true labels down and predicted labels across."""
    totals = [sum(row) for row in counts]
    pairs = [
        Pair(labels[true], labels[predicted], count, totals[true])
        for true, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    cells = [
        [Cell(count, -(-SHADES * count // total) if count else 0) for count in row]
        for row, total in zip(counts, totals, strict=True)
    ]
    return Confusion(
        labels,
        cells if len(labels) <= MOST_LABELS else [],
        sum(row[place] for place, row in enumerate(counts)),
        sum(totals),
        sorted(pairs, key=lambda pair: -pair.rows)[:MOST_PAIRS],
    )
