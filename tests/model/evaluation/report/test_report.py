"""The two files of a report."""

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from model.engine_embedder import EngineEmbedder
from model.evaluation.evaluate import evaluate
from model.evaluation.options import EvaluationOptions
from model.evaluation.report.facts import Origin
from model.evaluation.report.mistakes import MistakePictures
from model.evaluation.report.report import HTML_FILE, JSON_FILE, write_report
from model.imaging.preprocessing import Preprocessing
from tests.model.evaluation.report.pages import Element, Page, rows_of
from tests.support.colour_engine import ColourEngine, colour_manifest

HOSTILE = '<script> red & "red" </script>'
COLUMN = "<b>site</b>"
OPTIONS = EvaluationOptions(samples=5, target="age", by=("sex", COLUMN))
FACTS = {
    "model": {"name": "colours & more"},
    "version": "1.2.3",
    "data": {"file": {"name": '<img src="http://example.org/x.png">.csv', "sha256": "ab" * 32}},
    "options": vars(OPTIONS),
}
ORIGIN = Origin(datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2))), "medimageinsight evaluate --data <x>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on noisy colours with markup in a label, a column, a subgroup and a file name."""
    folder = tmp_path_factory.mktemp("report")
    manifest = colour_manifest(folder, 36, noise=90)
    rows = tuple(
        replace(
            row,
            label=HOSTILE if row.label == "red" else row.label,
            columns={**row.columns, COLUMN: f"<i>{row.columns['site']}</i>"},
        )
        for row in manifest.rows
    )
    evaluation = evaluate(EngineEmbedder(ColourEngine), replace(manifest, rows=rows), OPTIONS)
    write_report(evaluation, FACTS, folder / "out", origin=ORIGIN)
    return folder / "out"


@pytest.fixture(scope="module")
def page(folder: Path) -> Element:
    return Page((folder / HTML_FILE).read_text()).root


def test_the_json_has_every_number(folder: Path) -> None:
    report = json.loads((folder / JSON_FILE).read_text())
    assert report["model"]["name"] == "colours & more"
    assert set(report["tasks"]) == {
        "zero-shot", "knn", "linear-probe", "image-to-image", "prompt-to-image", "text-to-image", "regression",
    }  # fmt: skip
    for task in report["tasks"].values():
        assert task["metrics"]
        assert task["subgroups"]["sex"]["f"]["metrics"]


def test_the_page_needs_nothing_else_and_allows_itself_nothing_else(page: Element, folder: Path) -> None:
    sources = [element.attributes["src"] for element in page.everything() if "src" in element.attributes]
    links = [element.attributes["href"] for element in page.everything() if "href" in element.attributes]
    assert len(sources) == 8
    assert all(source.startswith("data:image/") for source in sources)
    assert all(link.startswith("#") or link == "data:," for link in links)
    policy = next(meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert not [element for element in page.everything() if "style" in element.attributes]
    text = (folder / HTML_FILE).read_text()
    assert "@import" not in text
    assert "url(" not in text


def test_the_head_says_when_by_what_and_how_it_was_made(page: Element) -> None:
    (header,) = page.all("header")
    facts = dict(zip((term.text for term in header.all("dt")), (text.text for text in header.all("dd")), strict=True))
    assert facts["made"] == "2026-02-28 23:30 UTC"
    assert facts["made by"] == "MedImageInsight Server 1.2.3"
    assert facts["command"] == "medimageinsight evaluate --data <x>"
    assert facts["model, name"] == "colours & more"


def test_the_contents_reach_every_section(page: Element) -> None:
    (nav,) = page.all("nav")
    names = [link.attributes["href"][1:] for link in nav.all("a")]
    assert names == [section.attributes["id"] for section in page.all("section")]
    assert all(page.with_id(name).all("h2") for name in names)


def test_the_overview_comes_first_and_every_column_has_a_head(page: Element) -> None:
    first = page.all("section")[0]
    head, *rows = rows_of(first.all("table")[0])
    assert head == ["task", "metric", "value", "95 % interval", "rows", "groups"]
    assert rows[0][:2] == ["Zero-shot classification", "macro AUC"]
    assert [row[0] for row in rows if len(row) == 6][-1] == "Regression"
    for table in page.all("table"):
        heads = rows_of(table.all("thead")[0])[0]
        assert all(heads), heads


def test_every_table_scrolls_in_its_own_box(page: Element) -> None:
    in_boxes = [table for box in page.all("div", "box") for table in box.all("table")]
    assert len(in_boxes) == len(page.all("table")) > 15
    assert all(box.attributes["tabindex"] == "0" and box.attributes["aria-label"] for box in page.all("div", "box"))


def test_every_figure_has_one_sentence_with_a_number(page: Element) -> None:
    texts = [image.attributes["alt"] for image in page.all("img")]
    assert all(text.endswith(".") and re.search(r"\d", text) for text in texts)
    assert texts[0].startswith("ROC curves of 3 labels: the macro average of all areas is 0.")
    assert texts[-1].startswith("Map of the embeddings of 36 rows with 3 labels, by PCA")


def test_no_value_is_a_dumped_object(page: Element) -> None:
    assert not re.search(r"[{}]|\['|\('|None|True|False", page.text)
    options = page.with_id("rows").all("dl")[0]
    assert "sex, <b>site</b>" in [text.text for text in options.all("dd")]


def test_the_confusion_matrix_has_counts_shades_and_a_scale(page: Element, folder: Path) -> None:
    task = json.loads((folder / JSON_FILE).read_text())["tasks"]["zero-shot"]
    matrix = page.with_id("zero-shot").all("table", "matrix")[0]
    _, *rows = rows_of(matrix)
    assert [row[1] for row in rows] == list(task["labels"])
    assert [[int(cell or 0) for cell in row[2:]] for row in rows] == task["confusion"]
    shaded = [cell for cell in matrix.all("td") if re.search(r"s\d", cell.attributes.get("class", ""))]
    assert len(shaded) == sum(count > 0 for row in task["confusion"] for count in row)
    assert len(page.with_id("zero-shot").all("p", "scale")[0].all("span")) == 9


def test_the_page_has_every_section(page: Element) -> None:
    for title in ("Zero-shot classification", "Linear probe", "By sex", "Worst mistakes", "Map of the embeddings"):
        assert title in page.text


def test_labels_are_text_not_markup(page: Element) -> None:
    assert not [element for element in page.everything() if element.tag in ("script", "i")]
    for text in (HOSTILE, COLUMN, "<i>site 1</i>", "colours & more", '<img src="http://example.org/x.png">.csv'):
        assert text in page.text


def test_pictures_of_mistakes_are_in_the_page_only_on_demand(page: Element, tmp_path: Path) -> None:
    assert not page.all("div", "mistakes")
    manifest = colour_manifest(tmp_path, 24, noise=90)
    options = EvaluationOptions(samples=0, tasks=("zero-shot", "knn"))
    evaluation = evaluate(EngineEmbedder(ColourEngine), manifest, options)
    worst = evaluation.report["tasks"]["zero-shot"]["worst_mistakes"]
    gone = next(row for row in manifest.rows if row.number == worst[0]["row"])
    gone.image.path.unlink()
    write_report(evaluation, {}, tmp_path / "out", mistakes=MistakePictures(2, Preprocessing(), 10_000))
    drawn = Page((tmp_path / "out" / HTML_FILE).read_text()).root.with_id("zero-shot").all("div", "mistakes")[0]
    (image,) = drawn.all("img")  # the first picture is gone
    assert image.attributes["src"].startswith("data:image/jpeg;base64,")
    expected = f"row {worst[1]['row']}: true {worst[1]['label']}, predicted {worst[1]['called']}, score "
    assert image.attributes["alt"] == f"{expected}{worst[1]['score']:.3f}"


def test_the_same_evaluation_writes_the_same_bytes(tmp_path: Path) -> None:
    manifest = colour_manifest(tmp_path, 18, noise=90)
    for name in ("one", "same"):
        options = replace(OPTIONS, tasks=("zero-shot",), by=("sex",))
        write_report(evaluate(EngineEmbedder(ColourEngine), manifest, options), {}, tmp_path / name)
    for file in (JSON_FILE, HTML_FILE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "same" / file).read_bytes()
