"""The JSONL files of MedImageInsight Premium's fine-tuning."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.data.jsonl_records import read_jsonl
from model.data.manifest import check_images
from model.data.row_files import read_row_file
from model.errors import ManifestError
from tests.support.samples import saved

EFFUSION = "x-ray chest anteroposterior Pleural Effusion."


def data_uri(level: int = 100) -> str:
    return "data:image/png;base64," + base64.b64encode(saved(Image.new("RGB", (5, 4), (level, level, level)))).decode()


def record(target: Any, url: str | None = None) -> dict[str, Any]:
    """A record as the public documentation shows it."""
    return {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url or data_uri()}}]},
            {"role": "assistant", "content": target if isinstance(target, str) else json.dumps(target)},
        ]
    }


def a_class(class_id: object, class_name: str = EFFUSION) -> dict[str, Any]:
    return {"class_id": class_id, "class_name": class_name, "source": "NIH-CXR", "task": "classification"}


def write_jsonl(path: Path, records: list[dict[str, Any]], **dumps: Any) -> Path:
    path.write_text("".join(json.dumps(one, **dumps) + "\n" for one in records), encoding="utf-8")
    return path


def test_classes_and_captions_of_one_file_become_rows(tmp_path: Path) -> None:
    records = [
        record(a_class(2), data_uri(10)),
        record({"caption": "A normal chest X-ray."}, data_uri(20)),
        record({"captions": ["right effusion", "fluid, right"]}, data_uri(30)),
        record(a_class(1, "no finding"), data_uri(40)),
    ]
    manifest = check_images(read_row_file(write_jsonl(tmp_path / "train.jsonl", records)))
    assert [(row.texts, row.label, row.decode().getpixel((0, 0))) for row in manifest.rows] == [
        ((EFFUSION,), EFFUSION, (10, 10, 10)),
        (("A normal chest X-ray.",), "", (20, 20, 20)),
        (("right effusion", "fluid, right"), "", (30, 30, 30)),
        (("no finding",), "no finding", (40, 40, 40)),
    ]
    assert manifest.rows[0].columns == {
        "class_id": "2",
        "class_name": EFFUSION,
        "source": "NIH-CXR",
        "task": "classification",
        "label": EFFUSION,
    }


def test_records_of_one_class_id_have_one_label_whatever_their_class_name(tmp_path: Path) -> None:
    records = [record(a_class(1, "Effusion")), record(a_class(1, "Pleural effusion")), record(a_class(2, "None"))]
    manifest = read_jsonl(
        write_jsonl(tmp_path / "t.jsonl", records), label_texts={"Effusion": ["Effusion", "fluid around the lung"]}
    )
    assert [(row.label, row.texts) for row in manifest.rows] == [
        ("Effusion", ("Effusion", "fluid around the lung")),
        ("Effusion", ("Pleural effusion",)),
        ("None", ("None",)),
    ]


@pytest.mark.parametrize("escape", ["/", "+", "line break"])
def test_base64_that_is_written_with_escapes_is_read(tmp_path: Path, escape: str) -> None:
    picture = saved(Image.frombytes("RGB", (40, 40), random.Random(0).randbytes(4800)))
    encoded = base64.encodebytes(picture).decode() if escape == "line break" else base64.b64encode(picture).decode()
    assert escape == "line break" or escape in encoded
    line = json.dumps(record(a_class(1), f"data:image/png;base64,{encoded}"))
    line = line.replace("/", r"\/") if escape == "/" else line.replace("+", r"\u002B") if escape == "+" else line
    (tmp_path / "t.jsonl").write_text(line)
    manifest = check_images(read_jsonl(tmp_path / "t.jsonl"))
    assert manifest.rows[0].image.read() == picture


def test_bad_lines_are_listed_by_their_number(tmp_path: Path) -> None:
    two_images = record(a_class(1))
    two_images["messages"][0]["content"] *= 2
    nested = record(a_class(1))
    nested["messages"][1]["content"] = a_class(1)
    with_system = record(a_class(1))
    with_system["messages"].insert(0, {"role": "system", "content": "You are a radiologist."})
    records = [
        record(a_class(1)),
        two_images,
        nested,
        with_system,
        record("Effusion"),
        record("[]"),
        record(a_class(0)),
        record(a_class(True)),
        record(a_class("1")),
        record(a_class(1) | {"caption": "both"}),
        record({"class_id": 1}),
        record({"caption": " "}),
        record({"captions": []}),
        record({"captions": ["a half: \ud800"]}),
        record(a_class(1), "https://example.org/a.png"),
        record(a_class(1), "data:image/png;base64,@@"),
    ]
    path = write_jsonl(tmp_path / "t.jsonl", records)
    with path.open("ab") as stream:
        stream.write(b"\n{cut\n\xff\n")
    manifest = check_images(read_jsonl(path))
    form, target = "the messages must be a user", "the assistant's text must be"
    class_id, uri = "class_id must be a whole number", "the image must be a data URI"
    assert [row.number for row in manifest.rows] == [1]
    assert [(bad.number, bad.reason[:25]) for bad in manifest.bad_rows] == [
        (number, reason[:25])
        for number, reason in [
            *((2, form), (3, form), (4, form), (5, target), (6, target), (7, class_id), (8, class_id), (9, class_id)),
            *((10, "the assistant's JSON has caption and class_id"), (11, target), (12, target), (13, target)),
            *((14, target), (15, uri), (16, "the image is not valid base64")),
            *((18, "the line is not JSON in UTF-8"), (19, "the line is not JSON in UTF-8")),
        ]
    ]
    with pytest.raises(ManifestError, match="has 16 bad rows: row 2: the messages must be"):
        read_jsonl(path, strict=True)


def test_a_file_without_a_usable_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("\n\n")
    with pytest.raises(ManifestError, match=r"t\.jsonl has no usable row"):
        read_jsonl(tmp_path / "t.jsonl")
    with pytest.raises(ManifestError, match="No such file"):
        read_jsonl(tmp_path / "missing.jsonl")
