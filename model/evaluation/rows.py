"""Choice of test rows and train rows, and their labels."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import BadRow, Manifest, Row
from model.embedder import Embedder
from model.errors import ManifestError
from model.evaluation.statistics.metrics import Flags

TEST, TRAIN = "test", "train"


@dataclass(frozen=True)
class EmbeddedRows:
    """Rows whose images are embedded."""

    rows: list[Row]
    features: NDArray[np.float32]  # (n, D), of unit norm
    digests: list[bytes]  # equal where two rows' images are the same bytes

    @property
    def groups(self) -> list[Hashable | None]:
        """Each row's group, None where it has none."""
        return [row.columns.get("group") or None for row in self.rows]

    @property
    def whole_groups(self) -> list[Hashable]:
        """Each row's group; a row without one is a group of its own, together with rows of the same bytes."""
        return [group or digest for group, digest in zip(self.groups, self.digests, strict=True)]

    @property
    def numbers(self) -> list[int]:
        return [row.number for row in self.rows]

    def take(self, kept: Sequence[int]) -> "EmbeddedRows":
        """Only these rows, by their places."""
        return EmbeddedRows(
            [self.rows[place] for place in kept], self.features[list(kept)], [self.digests[place] for place in kept]
        )


@dataclass(frozen=True)
class Labels:
    """The labels that rows are judged by."""

    names: tuple[str, ...]
    one_label: bool  # a row has exactly one; otherwise any number, and none means "none of them"
    column: str

    def of(self, row: Row) -> list[str]:
        return [label for label in labels_of(row, self.column) if label in self.names]

    def problem(self, row: Row) -> str:
        """Why a row cannot be judged; empty if it can."""
        if not self.one_label:
            return ""
        found = labels_of(row, self.column)
        if len(found) != 1:
            return "it has several labels" if found else "it has no label"
        return "" if found[0] in self.names else f"the label {found[0]!r} is not among those judged"


def labels_of(row: Row, column: str = "label") -> tuple[str, ...]:
    """A row's labels; several are separated by `|`."""
    named = row.label if column == "label" else row.columns.get(column, "")
    return tuple(dict.fromkeys(part.strip() for part in named.split("|") if part.strip()))


def find_labels(rows: Sequence[Row], column: str, asked: Sequence[str], multi_label: bool | None) -> Labels:
    """The labels to judge by: those asked for, else all that the rows have, sorted.

    Args:
        rows: the test rows.
        column: which holds the labels.
        asked: the labels that have prompts; may be empty.
        multi_label: None finds out whether a row has several.
    """
    found = [labels_of(row, column) for row in rows]
    names = tuple(asked) or tuple(sorted({label for labels in found for label in labels}))
    several = any(len(labels) > 1 for labels in found) if multi_label is None else multi_label
    return Labels(names, not several, column)


def choose_rows(manifest: Manifest, split: str) -> tuple[list[Row], list[Row]]:
    """The rows to judge and the rows to learn from, by the column `split`.

    Judged are those of `split`; if that is empty, those of "test" if there are any, else all that are not "train".

    Raises:
        ManifestError: no row is of this split.
    """
    train = [row for row in manifest.rows if row.columns.get("split") == TRAIN]
    wanted = split or (TEST if TEST in manifest.splits else "")
    if wanted:
        test_rows = [row for row in manifest.rows if row.columns.get("split") == wanted]
    else:
        test_rows = [row for row in manifest.rows if row.columns.get("split") != TRAIN] or list(manifest.rows)
    if not test_rows:
        raise ManifestError(f"{manifest.path.name} has no usable row of the split {split!r}")
    return test_rows, [] if wanted == TRAIN or len(test_rows) == len(manifest.rows) else train


def embed_rows(embedder: Embedder, rows: Sequence[Row]) -> tuple[EmbeddedRows, list[BadRow]]:
    """Embed rows' images; the unreadable ones come back with the reason."""
    embedded = embedder.images([row.image for row in rows])
    bad = [BadRow(rows[position].number, reason) for position, reason in embedded.refused.items()]
    return EmbeddedRows([rows[position] for position in embedded.positions], embedded.features, embedded.digests), bad


def without_overlap(train: EmbeddedRows, test_rows: EmbeddedRows) -> tuple[EmbeddedRows, int]:
    """Training rows that share no group and no image with the judged ones, and how many were dropped for that."""
    groups, digests = {group for group in test_rows.groups if group}, set(test_rows.digests)
    kept = [
        place
        for place, (group, digest) in enumerate(zip(train.groups, train.digests, strict=True))
        if group not in groups and digest not in digests
    ]
    return train.take(kept), len(train.rows) - len(kept)


def truth_of(rows: Sequence[Row], labels: Labels) -> Flags:
    """(n, L): which labels each row has."""
    table = np.zeros((len(rows), len(labels.names)), dtype=np.bool_)
    column = {label: number for number, label in enumerate(labels.names)}
    for place, row in enumerate(rows):
        table[place, [column[label] for label in labels.of(row)]] = True
    return table


def bad_rows_json(bad_rows: Sequence[BadRow]) -> dict[str, Any]:
    """Counts by reason, and every row by its number."""
    return {
        "count": len(bad_rows),
        "reasons": dict(Counter(bad.reason for bad in bad_rows).most_common()),
        "rows": [{"row": bad.number, "reason": bad.reason} for bad in sorted(bad_rows, key=lambda bad: bad.number)],
    }
