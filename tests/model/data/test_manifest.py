import base64
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from model.data.azure_tsv import read_names, read_tsv
from model.data.manifest import BadRow, check_images, read_label_texts, read_manifest
from model.errors import ManifestError
from tests.support.learnable import write_manifest


def png(level: int = 100) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (5, 4), level).save(stream, format="PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png())
    (tmp_path / "broken.png").write_bytes(b"no image")
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
        BadRow(3, "no such image file"),
        BadRow(4, "no path"),
        BadRow(5, "neither text nor label"),
    )
    assert manifest.bad_rows[3].number == 6


def test_strict_refuses_a_bad_row_and_names_it(folder: Path) -> None:
    path = write_manifest(folder / "m.csv", RECORDS)
    with pytest.raises(ManifestError, match="3 bad rows: row 3: no such image file"):
        read_manifest(path, strict=True)
    good = read_manifest(write_manifest(folder / "n.csv", RECORDS[5:]))
    with pytest.raises(ManifestError, match="row 1: the image cannot be read"):
        check_images(good, strict=True)


def test_a_manifest_of_only_bad_rows_or_without_paths_is_refused(folder: Path) -> None:
    with pytest.raises(ManifestError, match="no usable row"):
        read_manifest(write_manifest(folder / "m.csv", RECORDS[2:3]))
    with pytest.raises(ManifestError, match="lacks the column path; it has image, label"):
        read_manifest(write_manifest(folder / "n.csv", [{"image": "a.png", "label": "x"}]))
    with pytest.raises(ManifestError, match="cannot be read as CSV"):
        read_manifest(folder / "nowhere.csv")
    (folder / "bad.parquet").write_bytes(b"no parquet")
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


@pytest.mark.parametrize("content", ["[1, 2]", "finding: 3", "finding: []", "a: b: c"])
def test_label_texts_of_another_shape_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "texts.yaml").write_text(content)
    with pytest.raises(ManifestError):
        read_label_texts(tmp_path / "texts.yaml")


def classification(class_id: int, name: str, source: str = "mimic") -> str:
    return json.dumps({"class_id": class_id, "class_name": name, "source": source, "task": "classification"})


def write_tsv(path: Path, lines: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{name}\t{value}\n" for name, value in lines), encoding="utf-8")
    return path


def test_the_notebooks_files_are_read_unchanged(tmp_path: Path) -> None:
    images = [("one", png(10)), ("two", png(20)), ("three", png(30))]
    image_tsv = write_tsv(tmp_path / "i.tsv", [(name, base64.b64encode(data).decode()) for name, data in images])
    text_tsv = write_tsv(
        tmp_path / "t.tsv",
        [
            ("two", classification(1, "pneumonia")),
            ("one", classification(0, "no finding")),
            ("three", json.dumps({"captions": ["a chest", "a thorax"]})),
        ],
    )
    manifest = read_tsv(image_tsv, text_tsv)
    assert [(row.texts, row.label, row.decode().getpixel((0, 0))) for row in manifest.rows] == [
        (("pneumonia",), "mimic:1", 20),
        (("no finding",), "mimic:0", 10),
        (("a chest", "a thorax"), "", 30),
    ]
    assert manifest.rows[0].columns["source"] == "mimic"


def test_the_label_file_names_class_ids(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("no finding\npneumonia\n")
    names = read_names(tmp_path / "labels.txt")
    image_tsv = write_tsv(tmp_path / "i.tsv", [("one", base64.b64encode(png()).decode())])
    text_tsv = write_tsv(tmp_path / "t.tsv", [("one", '{"class_id": 1}')])
    assert read_tsv(image_tsv, text_tsv, class_names=names).rows[0].texts == ("pneumonia",)


def test_bad_tsv_lines_are_listed_by_number(tmp_path: Path) -> None:
    image_tsv = write_tsv(
        tmp_path / "i.tsv", [("name", "image"), ("one", base64.b64encode(png()).decode()), ("two", "@@")]
    )
    lines = [
        ("name", "text"),  # a header
        ("one", classification(0, "fine")),
        ("elsewhere", classification(0, "fine")),
        ("one", "{cut"),
        ("one", '{"class_id": 7}'),
        ("one", '{"captions": "\\ud800"}'),
        ("two", classification(0, "fine")),
    ]
    manifest = check_images(read_tsv(image_tsv, write_tsv(tmp_path / "t.tsv", lines)))
    assert [row.number for row in manifest.rows] == [2]
    assert [(bad.number, bad.reason[:20]) for bad in manifest.bad_rows] == [
        (3, "no image of this nam"),
        (4, "the second column is"),
        (5, "no usable text: clas"),
        (6, "no usable text: clas"),
        (7, "the image is not val"),
    ]
