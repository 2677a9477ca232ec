"""Manifests in CSV and Parquet: rows, texts, labels and bad rows."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from model.data.image_source import ImageSource
from model.data.label_texts import read_label_texts
from model.data.manifest import BadRow, Manifest, Row, check_images, read_manifest, split_for_training
from model.errors import ManifestError
from tests.support.learnable import write_manifest
from tests.support.samples import saved


def png(level: int = 100) -> bytes:
    return saved(Image.new("L", (5, 4), level))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png())
    (tmp_path / "broken.png").write_bytes(b"not an image")
    return tmp_path


RECORDS = [
    {"path": "a.png", "text": "a normal chest", "label": "", "split": "train", "site": "x"},
    {"path": "b.png", "text": "", "label": "finding", "split": "val", "site": "y"},
    {"path": "missing.png", "text": "", "label": "finding", "split": "val", "site": "y"},
    {"path": "", "text": "words", "label": "", "split": "val", "site": "y"},
    {"path": "a.png", "text": " ", "label": "", "split": "val", "site": "y"},
    {"path": "broken.png", "text": "", "label": "finding", "split": "val", "site": "y"},
]


def test_a_csv_gives_rows_with_texts_labels_and_every_column(folder: Path) -> None:
    manifest = read_manifest(write_manifest(folder / "m.csv", RECORDS))
    first, second = manifest.rows[:2]
    assert (first.number, first.texts, first.label) == (1, ("a normal chest",), "")
    assert (second.number, second.texts, second.label) == (2, ("finding",), "finding")
    assert second.columns["site"] == "y"
    assert first.decode().size == (5, 4)
    assert manifest.splits == {"train", "val"}
    assert [row.number for row in manifest.with_split("val").rows] == [2, 6]


def test_parquet_gives_the_same_rows_as_csv(folder: Path) -> None:
    pq.write_table(pa.Table.from_pylist(RECORDS), folder / "m.parquet")
    from_csv = read_manifest(write_manifest(folder / "m.csv", RECORDS))
    from_parquet = read_manifest(folder / "m.parquet")
    assert (from_parquet.rows, from_parquet.bad_rows) == (from_csv.rows, from_csv.bad_rows)


def test_bad_rows_are_listed_by_number(folder: Path) -> None:
    manifest = check_images(read_manifest(write_manifest(folder / "m.csv", RECORDS)))
    assert [row.number for row in manifest.rows] == [1, 2]
    assert manifest.bad_rows[:3] == (
        BadRow(3, "the column path names no image file"),
        BadRow(4, "the column path is empty"),
        BadRow(5, "the columns text and label are empty"),
    )
    assert manifest.bad_rows[3].number == 6


def test_strict_refuses_a_bad_row_and_names_it(folder: Path) -> None:
    path = write_manifest(folder / "m.csv", RECORDS)
    with pytest.raises(ManifestError, match="3 bad rows: row 3: the column path names no image file"):
        read_manifest(path, strict=True)
    good = read_manifest(write_manifest(folder / "n.csv", RECORDS[5:]))
    with pytest.raises(ManifestError, match="row 1: the image cannot be read"):
        check_images(good, strict=True)


def test_a_manifest_of_only_bad_rows_or_without_paths_is_refused(folder: Path) -> None:
    with pytest.raises(ManifestError, match="no usable row"):
        read_manifest(write_manifest(folder / "m.csv", RECORDS[2:3]))
    with pytest.raises(ManifestError, match="lacks the column path; its first line must name the columns"):
        read_manifest(write_manifest(folder / "n.csv", [{"image": "a.png", "label": "x"}]))
    with pytest.raises(ManifestError, match=r"nowhere\.csv cannot be read: No such file"):
        read_manifest(folder / "nowhere.csv")
    (folder / "bad.parquet").write_bytes(b"not Parquet")
    with pytest.raises(ManifestError, match="cannot be read as Parquet"):
        read_manifest(folder / "bad.parquet")


def test_a_label_has_the_wordings_of_the_label_texts(folder: Path) -> None:
    (folder / "texts.yaml").write_text("finding: [opacity, something there]\nnone: nothing\n")
    texts = read_label_texts(folder / "texts.yaml")
    assert texts == {"finding": ("opacity", "something there"), "none": ("nothing",)}
    records = [*RECORDS[:2], {**RECORDS[1], "text": "written by hand"}]
    manifest = read_manifest(write_manifest(folder / "m.csv", records), label_texts=texts)
    assert [row.texts for row in manifest.rows] == [
        ("a normal chest",),
        ("opacity", "something there"),
        ("written by hand", "opacity", "something there"),
    ]


def of_splits(*splits: str) -> Manifest:
    rows = [Row(n, ImageSource(Path("x")), (), "", {"split": split}) for n, split in enumerate(splits, start=1)]
    return Manifest(Path("m.csv"), tuple(rows))


@pytest.mark.parametrize(
    ("data", "val", "train_rows", "val_rows"),
    [
        (["", ""], None, [1, 2], None),
        (["train", "val", ""], None, [1], [2]),
        (["", "val"], None, [1], [2]),
        (["", "val"], ["", ""], [1], [1, 2]),
        (["", ""], ["train", "val"], [1, 2], [2]),
    ],
    ids=["no splits", "both splits", "only val", "another file", "another file with splits"],
)
def test_no_row_is_both_trained_on_and_validated_on(
    data: list[str], val: list[str] | None, train_rows: list[int], val_rows: list[int] | None
) -> None:
    train, validation = split_for_training(of_splits(*data), of_splits(*val) if val else None)
    assert [row.number for row in train.rows] == train_rows
    assert (validation and [row.number for row in validation.rows]) == val_rows
