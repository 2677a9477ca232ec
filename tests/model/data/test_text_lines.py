"""Errors of every reader of text files: they name the file, the line and the column, and never quote the file."""

import base64
import csv
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.azure_tsv import read_class_names, read_tsv
from model.data.label_texts import read_label_texts
from model.data.manifest import BadRow, read_manifest
from model.errors import ManifestError, TrainingError
from model.training.batches.sampling import batch_shares
from tests.support.samples import png

SECRET = base64.b64encode(b"the picture of a patient" * 300).decode()
READERS: dict[str, Callable[[Path], object]] = {
    "manifest": read_manifest,
    "class names": read_class_names,
    "label texts": read_label_texts,
    "image TSV": lambda path: read_tsv(path, path),
    "text TSV": lambda path: read_tsv(_images_beside(path), path),
}


def _images_beside(path: Path) -> Path:
    images = path.with_name("images.tsv")
    images.write_text(f"one\t{base64.b64encode(png()).decode()}\n")
    return images


def refusal_of(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(ManifestError) as refusal:
        read(path)
    return str(refusal.value)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("path,text\r\nä.png,Müller\r\n".encode("utf-16"), "line 1, column 1"),
        (b"path,text\na.png," + "Müller".encode("latin-1"), "line 2, column 8"),
        (f"path,text\na\0.png,{SECRET}".encode(), "line 2, column 2"),
    ],
    ids=["UTF-16", "Latin-1", "NUL"],
)
def test_a_file_that_is_not_utf_8_text_is_refused_with_the_place(
    tmp_path: Path, reader: str, content: bytes, place: str
) -> None:
    path = tmp_path / "given.file"
    path.write_bytes(content)
    refusal = refusal_of(READERS[reader], path)
    assert f"{path}, {place}: this is not UTF-8 text" in refusal
    assert "Müller" not in refusal
    assert SECRET not in refusal


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (f'path,text\na.png,x\nb.png,"{SECRET}\nc.png,y\n', "line 3: a quote is opened here and never closed"),
        (f'path,text\n"a" {SECRET},x\n', "line 2: a closing quote must be followed by a comma or by the end"),
        (f"path,text\na.png,{SECRET * 20}\n", "line 2: a value is longer than 131,072 characters"),
        (f"{SECRET}\n{SECRET}\n", "lacks the column path; its first line must name the columns"),
    ],
)
def test_what_is_wrong_in_a_csv_file_is_named_by_its_line(tmp_path: Path, content: str, refusal: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(content)
    found = refusal_of(read_manifest, path)
    assert found.startswith(str(path))
    assert refusal in found
    assert SECRET[:50] not in found


def test_an_image_as_base64_in_the_column_path_is_a_bad_row_and_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"path,label\n{SECRET},x\n")
    refusal = refusal_of(read_manifest, tmp_path / "m.csv")
    assert refusal == f"{tmp_path}/m.csv has no usable row: row 1: the column path names no image file"


def test_reading_a_manifest_changes_no_limit_of_the_process(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    (tmp_path / "m.csv").write_text("path,label\ngone.png,x\n")
    refusal_of(read_manifest, tmp_path / "m.csv")
    assert csv.field_size_limit() == before


def test_a_byte_order_mark_is_not_a_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "m.csv").write_text("path,label\na.png,x\n", encoding="utf-8-sig")
    assert read_manifest(tmp_path / "m.csv").rows[0].label == "x"
    images, texts = tmp_path / "i.tsv", tmp_path / "t.tsv"
    images.write_text(f"one\t{base64.b64encode(png()).decode()}\n", encoding="utf-8-sig")
    texts.write_text('one\t{"captions": "fine"}\n', encoding="utf-8-sig")
    assert read_tsv(images, texts).rows[0].image.read() == png()
    texts.write_text("no finding\npneumonia\n", encoding="utf-8-sig")
    assert read_class_names(texts) == ["no finding", "pneumonia"]


@pytest.mark.parametrize("payload", ["[" * 100_000, '{"class_id": ' + "9" * 5000 + "}", SECRET])
def test_json_that_python_cannot_read_is_a_bad_row(tmp_path: Path, payload: str) -> None:
    texts = tmp_path / "t.tsv"
    texts.write_text(f'one\t{payload}\none\t{{"captions": "fine"}}\n')
    assert read_tsv(_images_beside(texts), texts).bad_rows == (BadRow(1, "the second column is not JSON"),)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("a: b\nc: [d\ne: f\n", ", line 3, column 2:"),
        ("a: b: c", ", line 1, column 5:"),
        ("[" * 5000, " is"),
        ("a: 2024-13-45", " is"),
    ],
)
def test_label_texts_that_are_not_yaml_are_refused_with_the_place(tmp_path: Path, content: str, place: str) -> None:
    (tmp_path / "texts.yaml").write_text(content)
    assert f"texts.yaml{place}" in refusal_of(read_label_texts, tmp_path / "texts.yaml")


def test_a_parquet_column_that_has_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"path": ["a.png"], "text": broken}), tmp_path / "m.parquet")
    assert "m.parquet, column text: the values cannot be read" in refusal_of(read_manifest, tmp_path / "m.parquet")


def test_a_wrong_column_of_sample_by_quotes_no_row() -> None:
    with pytest.raises(TrainingError, match="the shares name 'a', which no row has in the column of sample_by"):
        batch_shares([SECRET], {"a": 0.5})
