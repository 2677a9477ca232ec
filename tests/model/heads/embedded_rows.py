"""Rows whose embeddings scatter around one direction per label, or along one direction with a number."""

from pathlib import Path

import numpy as np

from model.data.image_source import ImageSource
from model.data.manifest import Row
from model.evaluation.labels import Labels
from model.evaluation.rows import EmbeddedRows
from tests.support.colour_engine import unit

LABELS = Labels(("a", "b", "c"), one_label=True, column="label")


def embedded(count: int = 120, seed: int = 0, *, spread: float = 0.15) -> EmbeddedRows:
    """Rows of three labels in turn, with embeddings of 6 numbers."""
    rng = np.random.default_rng(seed)
    names = [LABELS.names[row % 3] for row in range(count)]
    vectors = np.eye(3, 6)[np.arange(count) % 3] + rng.normal(0, spread, (count, 6))
    return _rows(vectors, [{"label": name} for name in names])


def aged(count: int = 120, seed: int = 0, *, noise: float = 2.0) -> EmbeddedRows:
    """Rows of the column `age`, 0 to 200, which the embeddings state up to some noise."""
    rng = np.random.default_rng(seed)
    ages = rng.uniform(0, 200, count)
    angles = (ages + rng.normal(0, noise, count)) / 200
    vectors = np.stack([np.cos(angles), np.sin(angles), *rng.normal(0, 0.05, (4, count))], axis=1)
    return _rows(vectors, [{"age": str(age)} for age in ages])


def _rows(vectors: "np.typing.NDArray[np.float64]", columns: list[dict[str, str]]) -> EmbeddedRows:
    rows = [
        Row(number, ImageSource(Path("x")), (), cells.get("label", ""), cells)
        for number, cells in enumerate(columns, start=1)
    ]
    return EmbeddedRows(rows, unit(vectors), [b"%d" % row.number for row in rows])
