"""The two files of a report."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from model.engine_embedder import EngineEmbedder
from model.evaluation.evaluate import evaluate
from model.evaluation.options import EvaluationOptions
from model.evaluation.report.report import HTML_FILE, JSON_FILE, write_report
from tests.support.colour_engine import ColourEngine, colour_manifest

HOSTILE = '<script> red & "red" </script>'
COLUMN = "<b>site</b>"
OPTIONS = EvaluationOptions(samples=5, target="age", by=("sex", COLUMN))
FACTS = {
    "model": {"name": "colours & more"},
    "data": {"file": '<img src="http://example.org/x.png">.csv'},
    "options": vars(OPTIONS),
}


class Page(HTMLParser):
    """The names of the tags and the text of a page, without its style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data if self.lasttag != "style" else ""


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
    write_report(evaluation, FACTS, folder / "out")
    return folder / "out"


def test_the_json_has_every_number(folder: Path) -> None:
    report = json.loads((folder / JSON_FILE).read_text())
    assert report["model"]["name"] == "colours & more"
    assert set(report["tasks"]) == {
        "zero-shot", "knn", "linear-probe", "image-to-image", "prompt-to-image", "text-to-image", "regression",
    }  # fmt: skip
    for task in report["tasks"].values():
        assert task["metrics"]
        assert task["subgroups"]["sex"]["f"]["metrics"]


def test_the_page_needs_nothing_else(folder: Path) -> None:
    page = (folder / HTML_FILE).read_text()
    sources = re.findall(r'<[^>]*(?:src|href)="([^"]{0,30})', page)
    assert len(sources) == 11
    assert all(source.startswith("data:image/") for source in sources)
    assert "@import" not in page
    assert "url(" not in page


def test_the_page_has_every_section(folder: Path) -> None:
    page = (folder / HTML_FILE).read_text()
    for title in ("Zero-shot classification", "Linear probe", "By sex", "Worst mistakes", "Map of the embeddings"):
        assert title in page


def test_labels_are_text_not_markup(folder: Path) -> None:
    page = Page((folder / HTML_FILE).read_text())
    assert not page.tags & {"script", "b", "i"}
    for text in (HOSTILE, COLUMN, "<i>site 1</i>", "colours & more", '<img src="http://example.org/x.png">.csv'):
        assert text in page.text


def test_the_same_evaluation_writes_the_same_bytes(tmp_path: Path) -> None:
    manifest = colour_manifest(tmp_path, 18, noise=90)
    for name in ("one", "same"):
        options = replace(OPTIONS, tasks=("zero-shot",), by=("sex",))
        write_report(evaluate(EngineEmbedder(ColourEngine), manifest, options), {}, tmp_path / name)
    for file in (JSON_FILE, HTML_FILE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "same" / file).read_bytes()
