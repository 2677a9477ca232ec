"""Rows and the embeddings that a file holds for their paths."""

from pathlib import Path

import numpy as np
import pytest

from model.data.embeddings_file import EmbeddingsFile
from model.data.manifest import Row, read_manifest
from model.errors import ManifestError
from model.evaluation.rows import find_embedded_rows
from model.imaging.preprocessing import Preprocessing


def stored(paths: list[str]) -> EmbeddingsFile:
    """A file in which the n-th path has the n-th unit vector."""
    return EmbeddingsFile(paths, np.eye(len(paths), dtype=np.float32), "m", "0" * 64, Preprocessing())


def rows(folder: Path, *paths: str) -> tuple[Row, ...]:
    manifest = folder / "rows.csv"
    manifest.write_text("\n".join(["path", *paths]))
    return read_manifest(manifest, needs_text=False, needs_image=False).rows


def found(file: EmbeddingsFile, wanted: tuple[Row, ...]) -> list[int]:
    return [int(vector.argmax()) for vector in find_embedded_rows(file, wanted)[0].features]


def test_paths_are_compared_relative_to_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    name = tmp_path.name
    file = stored(["a.png", f"{name}/a.png", f"./{name}/b/../c.png", str(tmp_path / "d.png"), "elsewhere/e.png"])
    assert found(file, rows(tmp_path, "a.png", "c.png", "b/../d.png", "elsewhere/e.png")) == [1, 2, 3, 4]


def test_rows_without_an_embedding_are_bad_rows(tmp_path: Path) -> None:
    embedded, bad = find_embedded_rows(stored([str(tmp_path / "a.png")]), rows(tmp_path, "b.png", "a.png"))
    assert [row.number for row in embedded.rows] == [2]
    assert [(row.number, row.reason) for row in bad] == [(1, "its path is not in the file of embeddings")]


def test_an_embedding_that_is_not_finite_is_a_bad_row(tmp_path: Path) -> None:
    file = stored(["a.png", "b.png"])
    file.image_features[0, 0] = np.nan
    embedded, bad = find_embedded_rows(file, rows(tmp_path, "a.png", "b.png"))
    assert [row.number for row in embedded.rows] == [2]
    assert [row.reason for row in bad] == ["its embedding is not finite"]


def test_equal_embeddings_are_one_group(tmp_path: Path) -> None:
    file = stored(["a.png", "b.png", "c.png"])
    file.image_features[1] = file.image_features[0]
    groups = find_embedded_rows(file, rows(tmp_path, "a.png", "b.png", "c.png"))[0].whole_groups
    assert groups[0] == groups[1] != groups[2]


def test_no_match_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="none of the 2 paths of the manifest"):
        find_embedded_rows(stored(["a.png"]), rows(tmp_path, "b.png", "c.png"))
    assert find_embedded_rows(stored(["a.png"]), ())[0].rows == []
