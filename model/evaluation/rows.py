"""Test rows and train rows: choice by split, embedding, and removal of overlap between them."""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.embeddings_file import EmbeddingsFile
from model.data.manifest import BadRow, Manifest, Row
from model.embedder import Embedder
from model.errors import ManifestError

TEST, TRAIN = "test", "train"
NO_EMBEDDING = "its path is not in the file of embeddings"
LARGEST_NUMBER = 1e100  # sums of squares of larger numbers overflow


@dataclass(frozen=True)
class EmbeddedRows:
    """Rows and the embeddings of their images.

    Attributes:
        rows: n rows.
        features: (n, D), unit norm.
        digests: n digests; two are equal if the two images are the same bytes.
    """

    rows: list[Row]
    features: NDArray[np.float32]
    digests: list[bytes]

    @property
    def groups(self) -> list[Hashable | None]:
        """Each row's group; None if it has none."""
        return [row.columns.get("group") or None for row in self.rows]

    @property
    def whole_groups(self) -> list[Hashable]:
        """Each row's group. A row without one forms a group with the other such rows that have the same image bytes."""
        return [group or digest for group, digest in zip(self.groups, self.digests, strict=True)]

    @property
    def numbers(self) -> list[int]:
        """Each row's number in the manifest."""
        return [row.number for row in self.rows]

    def take(self, places: Sequence[int]) -> "EmbeddedRows":
        """The rows at these indices."""
        return EmbeddedRows(
            [self.rows[place] for place in places],
            self.features[list(places)],
            [self.digests[place] for place in places],
        )

    def divide(self, problem: Callable[[Row], str]) -> "tuple[EmbeddedRows, list[BadRow]]":
        """The rows without a problem, and the other rows with their problems.

        Args:
            problem: returns a row's problem, or an empty text.
        """
        problems = [problem(row) for row in self.rows]
        kept = self.take([place for place, reason in enumerate(problems) if not reason])
        return kept, [BadRow(row.number, reason) for row, reason in zip(self.rows, problems, strict=True) if reason]


def rows_sha256(rows: EmbeddedRows, truth: NDArray[np.bool_]) -> str:
    """Hash of the rows of a task: their numbers in the manifest, which of them share a group, and their labels.

    Two evaluations with the same hash, number of draws and seed have the same bootstrap draws.

    Args:
        rows: n rows.
        truth: (n, L), their labels.
    """
    first = {group: place for place, group in reversed(list(enumerate(rows.whole_groups)))}
    owners = [first[group] for group in rows.whole_groups]
    table = np.array([rows.numbers, owners], dtype="<i8").tobytes() + truth.tobytes()
    return hashlib.sha256(repr(truth.shape).encode() + table).hexdigest()


def choose_rows(manifest: Manifest, split: str) -> tuple[list[Row], list[Row]]:
    """The test rows and the train rows, by the column `split`.

    Args:
        manifest: all rows.
        split: the split of the test rows. If it is empty, the test rows are those of the split "test"; without such a
            split, all rows that are not of the split "train"; without such rows, all rows.

    Returns:
        The test rows, and the rows of the split "train" that are not test rows.

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
    """Embed the rows' images. Returns the embedded rows, and the rows without an embedding."""
    embedded = embedder.images([row.image for row in rows])
    bad = [BadRow(rows[position].number, reason) for position, reason in embedded.refused.items()]
    every = EmbeddedRows([rows[position] for position in embedded.positions], embedded.features, embedded.digests)
    finite, not_finite = _finite(every)
    return finite, bad + not_finite


def find_embedded_rows(stored: EmbeddingsFile, rows: Sequence[Row]) -> tuple[EmbeddedRows, list[BadRow]]:
    """Take the embeddings of the rows' images from a file, by the images' paths.

    A path is looked up as the manifest resolves it, relative to its folder, and else as it is written.

    Returns:
        The rows with an embedding, and the rows without one. Two images count as the same if their embeddings are.

    Raises:
        ManifestError: there are rows, but the file does not have an embedding of any of them.
    """
    written = {path: place for place, path in enumerate(stored.image_paths)}
    places = written | {_absolute(path): place for path, place in written.items()}
    wanted = [places.get(_absolute(row.image.path), places.get(row.columns.get("path", "").strip())) for row in rows]
    found = {number: place for number, place in enumerate(wanted) if place is not None}
    if rows and not found:
        raise ManifestError(
            f"none of the {len(rows)} paths of the manifest is in the file of embeddings; paths are compared relative "
            "to the manifest's folder, and as written"
        )
    features = stored.image_features[list(found.values())]
    digests = [hashlib.sha256(vector.tobytes()).digest() for vector in features]
    embedded, bad = _finite(EmbeddedRows([rows[number] for number in found], features, digests))
    missing = [BadRow(row.number, NO_EMBEDDING) for row, place in zip(rows, wanted, strict=True) if place is None]
    return embedded, missing + bad


def _absolute(path: Path | str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (the file may be missing, and the path any text)


def _finite(embedded: EmbeddedRows) -> tuple[EmbeddedRows, list[BadRow]]:
    """The rows with a finite embedding, and the others."""
    finite = np.isfinite(embedded.features).all(axis=1)
    bad = [BadRow(embedded.rows[place].number, "its embedding is not finite") for place in np.flatnonzero(~finite)]
    return embedded.take(np.flatnonzero(finite).tolist()), bad


def without_overlap(train_rows: EmbeddedRows, test_rows: EmbeddedRows) -> tuple[EmbeddedRows, int]:
    """The train rows that share neither a group nor an image with a test row, and the number of dropped rows."""
    groups, digests = {group for group in test_rows.groups if group}, set(test_rows.digests)
    kept = [
        place
        for place, (group, digest) in enumerate(zip(train_rows.groups, train_rows.digests, strict=True))
        if group not in groups and digest not in digests
    ]
    return train_rows.take(kept), len(train_rows.rows) - len(kept)


def text_of(row: Row) -> str:
    """The row's text for the retrieval; empty if it has none."""
    return row.columns.get("text", "").strip()


def number_of(text: str) -> float:
    """The number that a text states; NaN if it states no number up to `LARGEST_NUMBER`."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if abs(number) <= LARGEST_NUMBER else math.nan


def number_problem(row: Row, column: str) -> str:
    """Why a row has no number to predict; empty if it has one."""
    return "" if math.isfinite(number_of(row.columns.get(column, ""))) else f"the column {column} has no number"


def bad_rows_json(bad_rows: Sequence[BadRow]) -> dict[str, Any]:
    """JSON object with the number of bad rows, their counts by reason, and each row's number and reason."""
    return {
        "count": len(bad_rows),
        "reasons": dict(Counter(bad.reason for bad in bad_rows).most_common()),
        "rows": [{"row": bad.number, "reason": bad.reason} for bad in sorted(bad_rows, key=lambda bad: bad.number)],
    }
