"""Several pictures: a table of their scores, and the same as a CSV file."""

import csv
import json
from pathlib import Path

import httpx
import pytest

from tests.support.browser.page import Page, written

pytestmark = pytest.mark.browser
LABELS = ["ct chest", 'a "quoted" label', "x-ray hand"]
EVIL = '=1+1,".png'


@pytest.fixture
def opened(page: Page, server: str, files: Path, tmp_path: Path) -> Page:
    """The page with three pictures, one of which cannot be read, and one of which has a name that is a formula."""
    (tmp_path / EVIL).write_bytes((files / "drawn.png").read_bytes())
    (tmp_path / "broken.dcm").write_bytes(b"this is no picture")
    page.open(server)
    page.add(files / "ct.dcm", tmp_path / EVIL, tmp_path / "broken.dcm")
    page.ask(LABELS[0])
    for label in LABELS[1:]:
        page.type("#label", label)
        page.click("#own button")
    return page


def scored(server: str, file: Path, **params: str) -> dict[str, float]:
    fields = {"labels": json.dumps(LABELS), **params}
    (row,) = httpx.post(f"{server}/classify", data=fields, files={"files": file.read_bytes()}).json()
    return {entry["label"]: entry["score"] for entry in row}


def test_the_table_has_a_row_per_picture(opened: Page, server: str, files: Path) -> None:
    assert opened.texts("#table thead th") == ["Picture", "Best label", *LABELS]
    assert opened.texts("#table tbody th") == ["ct.dcm", EVIL, "broken.dcm"]
    scores = scored(server, files / "ct.dcm")
    cells = opened.texts("#table tbody tr:first-child td")
    assert cells == [max(scores, key=lambda label: scores[label]), *(written(scores[label]) for label in LABELS)]
    assert opened.texts("#table tbody tr:last-child td")[0].startswith("The image cannot be read")
    assert opened.text("#progress") == "3 of 3 answered, 1 with an error"
    opened.click("#remove")
    opened.click("#remove")
    assert not opened.is_shown("#every")  # one picture has its bars


def test_the_csv_file_has_the_answers_in_full(opened: Page, server: str, files: Path) -> None:
    opened.click("#film button")
    opened.choose("#window", "lung")
    opened.set("#frame-number", 2)
    saved = opened.saved("#csv")
    assert saved.name == "scores.csv"
    with saved.open(encoding="utf-8-sig", newline="") as lines:
        head, first, second, third = csv.reader(lines)
    assert head == ["picture", "parameters", "best label", *LABELS, "error"]
    wanted = scored(server, files / "ct.dcm", dicom_window="lung", frame="2")
    assert first[:3] == ["ct.dcm", "frame=2 dicom_window=lung", max(wanted, key=lambda label: wanted[label])]
    assert list(map(float, first[3:6])) == pytest.approx([wanted[label] for label in LABELS], abs=1e-5)
    assert (first[6], second[6]) == ("", "")
    assert third[:6] == ["broken.dcm", "", "", "", "", ""]
    assert third[6].startswith("The image cannot be read")


def test_a_file_name_is_no_formula_in_a_spreadsheet(opened: Page) -> None:
    with opened.saved("#csv").open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.reader(lines))
    assert rows[2][0] == f"'{EVIL}"
    assert {len(row) for row in rows} == {7}


def test_no_number_looks_like_another_one(page: Page, server: str) -> None:
    page.open(server)
    write = (
        "const [values, done] = arguments;"
        "import('/web/elements.js').then(({ shown, shownScore }) =>"
        " done([values.map(shown), values.filter(e => e >= 0).map(shownScore)]))"
    )
    values = [-0.006, -0.004, -0.0, 0, 0.0049, 0.0051, 0.25, 0.9949, 0.9951, 1]
    numbers, scores = page.driver.execute_async_script(write, values)
    assert numbers == ["−0.01", "0.00", "0.00", "0.00", "0.00", "0.01", "0.25", "0.99", "1.00", "1.00"]
    assert scores == ["<0.01", "<0.01", "<0.01", "0.01", "0.25", "0.99", ">0.99", "1.00"]
    assert scores[1:-1] == [written(value) for value in values[3:-1]]
