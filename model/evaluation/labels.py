"""Labels of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.data.manifest import Row
from model.embedder import shortened
from model.evaluation.statistics.metrics import Flags


@dataclass(frozen=True)
class Labels:
    """The labels of an evaluation.

    Attributes:
        names: the labels.
        one_label: True if each row has exactly one label. False if a row has any number of labels; a row without a
            label then has none of `names`.
        column: the manifest's column with the labels.
    """

    names: tuple[str, ...]
    one_label: bool
    column: str

    def of(self, row: Row) -> list[str]:
        """The row's labels that are among `names`."""
        return [label for label in labels_of(row, self.column) if label in self.names]

    def problem(self, row: Row) -> str:
        """Why a row cannot be used; empty if it can."""
        if not self.one_label:
            return ""
        found = labels_of(row, self.column)
        if len(found) != 1:
            return "the row has several labels" if found else "the row has no label"
        known = found[0] in self.names
        return "" if known else f"the label {shortened(found[0])} is not among the labels"


def labels_of(row: Row, column: str = "label") -> tuple[str, ...]:
    """A row's distinct labels; the column separates several labels by `|`."""
    text = row.label if column == "label" else row.columns.get(column, "")
    return tuple(dict.fromkeys(part.strip() for part in text.split("|") if part.strip()))


def find_labels(rows: Sequence[Row], column: str, prompted: Sequence[str], multi_label: bool | None) -> Labels:
    """The labels that have prompts; without prompts, all labels of the rows, sorted.

    Args:
        rows: the test rows.
        column: the manifest's column with the labels.
        prompted: the labels that have prompts; may be empty.
        multi_label: whether a row may have several labels; None: True if any of the rows has several.
    """
    found = [labels_of(row, column) for row in rows]
    names = tuple(prompted) or tuple(sorted({label for labels in found for label in labels}))
    several = any(len(labels) > 1 for labels in found) if multi_label is None else multi_label
    return Labels(names, not several, column)


def truth_of(rows: Sequence[Row], labels: Labels) -> Flags:
    """(n, L), True where a row has a label."""
    table = np.zeros((len(rows), len(labels.names)), dtype=np.bool_)
    column = {label: number for number, label in enumerate(labels.names)}
    for place, row in enumerate(rows):
        table[place, [column[label] for label in labels.of(row)]] = True
    return table
