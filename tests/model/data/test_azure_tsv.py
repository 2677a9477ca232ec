"""The TSV files of the fine-tuning notebook on Azure."""

import base64
import json
from pathlib import Path

from PIL import Image

from model.data.azure_tsv import read_class_names, read_tsv
from model.data.manifest import check_images
from tests.support.samples import saved


def png(level: int = 100) -> bytes:
    return saved(Image.new("L", (5, 4), level))


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
    names = read_class_names(tmp_path / "labels.txt")
    image_tsv = write_tsv(tmp_path / "i.tsv", [("one", base64.b64encode(png()).decode())])
    text_tsv = write_tsv(tmp_path / "t.tsv", [("one", '{"class_id": 1}')])
    assert read_tsv(image_tsv, text_tsv, class_names=names).rows[0].texts == ("pneumonia",)


def test_bad_tsv_lines_are_listed_by_number(tmp_path: Path) -> None:
    image_tsv = write_tsv(
        tmp_path / "i.tsv", [("name", "image"), ("one", base64.b64encode(png()).decode()), ("two", "@@")]
    )
    lines = [
        ("name", "text"),  # a header line
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
        (5, "no usable text; a ro"),
        (6, "no usable text; a ro"),
        (7, "the image is not val"),
    ]
