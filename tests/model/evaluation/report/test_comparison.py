"""Comparison of two reports: what it concludes, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.engine_embedder import EngineEmbedder
from model.errors import ReportError
from model.evaluation.evaluate import evaluate
from model.evaluation.options import EvaluationOptions
from model.evaluation.report.comparison import compare, read_report, require_comparable
from model.evaluation.report.report import HTML_FILE, JSON_FILE, write_report
from model.evaluation.statistics.draws import read_draws
from tests.model.evaluation.report.pages import Page, rows_of
from tests.support.colour_engine import ColourEngine, colour_manifest, unit

SEED = 0


class Worse(ColourEngine):
    """Embeddings with noise of their own."""

    strength = 0.7

    def embed_images(self, staged: Any, *, normalize: bool = True, share: int = 1) -> Any:
        features = super().embed_images(staged)
        return unit(features + np.random.default_rng(SEED).normal(0, self.strength, features.shape))


class Similar(Worse):
    strength = 0.02


def report_of(folder: Path, engine: Callable[[], ColourEngine], *, rows: int = 60, **options: Any) -> dict[str, Any]:
    chosen = EvaluationOptions(**{"tasks": ("zero-shot", "regression"), "target": "age", "samples": 60, **options})
    manifest = colour_manifest(folder, rows, noise=60)
    facts = {
        "data": {"file": {"name": "test.csv", "sha256": f"{rows}"}},
        "options": vars(chosen),
        "model": {"name": engine.__name__},
    }
    out = folder / f"{engine.__name__}-{rows}"
    write_report(evaluate(EngineEmbedder(engine), manifest, chosen), facts, out)
    return read_report(out / JSON_FILE)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("comparison")
    return {engine.__name__: report_of(folder, engine) for engine in (ColourEngine, Similar, Worse)}


def test_a_difference_beyond_noise_is_told_from_one_within(reports: dict[str, dict[str, Any]]) -> None:
    good, similar, worse = (reports[name] for name in ("ColourEngine", "Similar", "Worse"))
    found = compare(good, worse)["tasks"]
    auc = found["zero-shot"]["metrics"]["macro_auc"]
    assert auc["finding"] == "better"
    assert auc["difference"] == auc["value"] - auc["other"] > auc["interval"][0] > 0
    assert found["regression"]["metrics"]["mean_absolute_error"]["finding"] == "better"  # although it is lower
    assert compare(worse, good)["tasks"]["zero-shot"]["metrics"]["macro_auc"]["finding"] == "worse"
    assert compare(good, similar)["tasks"]["zero-shot"]["metrics"]["macro_auc"]["finding"] == "within noise"
    assert compare(good, good)["tasks"]["zero-shot"]["metrics"]["macro_auc"]["finding"] == "the same"


def test_the_interval_is_of_the_differences_draw_by_draw(reports: dict[str, dict[str, Any]]) -> None:
    good, worse = reports["ColourEngine"], reports["Worse"]
    entry = compare(good, worse)["tasks"]["zero-shot"]["metrics"]["balanced_accuracy"]
    mine, theirs = (read_draws(report["draws"]["zero-shot"]["balanced_accuracy"]) for report in (good, worse))
    assert len(mine) == 60
    reach = 1.96 * np.std(mine - theirs)
    assert reach < 1.96 * np.hypot(np.std(mine), np.std(theirs))
    assert entry["interval"] == pytest.approx([entry["difference"] - reach, entry["difference"] + reach], abs=1e-6)


def test_other_draws_are_not_paired(reports: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    other = report_of(tmp_path, Worse, seed=1)
    found = compare(reports["ColourEngine"], other)
    assert found["changed"] == {"seed": [0, 1]}
    assert found["tasks"]["zero-shot"]["paired"] is False
    finding = found["tasks"]["zero-shot"]["metrics"]["macro_auc"]["finding"]
    assert finding == "apart: not paired, but the intervals do not overlap"
    similar = compare(reports["Similar"], reports["ColourEngine"] | {"options": other["options"]})
    finding = similar["tasks"]["zero-shot"]["metrics"]["macro_auc"]["finding"]
    assert finding == "open: not paired, and the intervals overlap"


def test_without_intervals_nothing_is_concluded(tmp_path: Path) -> None:
    one, two = (report_of(tmp_path, engine, samples=0) for engine in (ColourEngine, Worse))
    metrics = compare(one, two)["tasks"]["zero-shot"]["metrics"]
    assert {entry["finding"] for entry in metrics.values()} == {"open: no interval"}


def test_rows_and_tasks_that_differ_are_marked_and_other_data_are_refused(
    reports: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    good, fewer = reports["ColourEngine"], report_of(tmp_path, ColourEngine, rows=48, tasks=("zero-shot",))
    with pytest.raises(ReportError, match=r"about other rows: its test\.csv has another content than test\.csv"):
        compare(good, fewer)
    found = compare(good, fewer | {"data": good["data"]})["tasks"]
    assert "the rows, their groups or their labels differ (60 rows here, 48 in the" in found["zero-shot"]["note"]
    assert found["regression"]["note"] == "only this report has this task"


def test_what_cannot_be_compared_is_found_before_there_is_a_report(reports: dict[str, dict[str, Any]]) -> None:
    other = reports["Worse"]
    require_comparable(other["data"], ["knn", "regression"], other)
    with pytest.raises(ReportError, match="about other rows"):
        require_comparable({"file": {"name": "val.csv", "sha256": "0"}}, ["regression"], other)
    with pytest.raises(ReportError, match="none of these tasks"):
        require_comparable(other["data"], ["knn"], other)
    damaged = json.loads(json.dumps(other))
    damaged["draws"]["zero-shot"]["macro_auc"] = "!"
    with pytest.raises(ReportError, match="the other report is damaged"):
        require_comparable(other["data"], ["zero-shot"], damaged)


def test_two_models_that_differ_without_spread_are_not_told_apart(reports: dict[str, dict[str, Any]]) -> None:
    good = reports["ColourEngine"]
    shifted = json.loads(json.dumps(good))
    shifted["tasks"]["zero-shot"]["metrics"]["macro_auc"]["value"] -= 0.25
    entry = compare(good, shifted)["tasks"]["zero-shot"]["metrics"]["macro_auc"]
    assert (entry["difference"], entry["interval"], entry["finding"]) == (0.25, [None, None], "open: no interval")


def test_files_that_are_no_report_are_refused_in_one_sentence(
    reports: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "other.json"
    for text in ("no json", "[]", '{"tasks": []}', '{"tasks": {}, "data": {}, "format": 1}'):
        file.write_text(text)
        with pytest.raises(ReportError, match=r"is not a report\.json of"):
            read_report(file)
    damaged = json.loads(json.dumps(reports["Worse"]))
    damaged["draws"]["zero-shot"]["macro_auc"] = "!"
    with pytest.raises(ReportError, match="the other report is damaged"):
        compare(reports["ColourEngine"], damaged)


def test_the_page_shows_both_values_and_the_finding(reports: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    options = EvaluationOptions(tasks=("zero-shot", "regression"), target="age", samples=60)
    evaluation = evaluate(EngineEmbedder(ColourEngine), colour_manifest(tmp_path, 60, noise=60), options)
    facts = {"data": reports["Worse"]["data"], "options": vars(options), "model": {"name": "mine"}}
    report = write_report(evaluation, facts, tmp_path / "out", other=reports["Worse"])
    section = Page((tmp_path / "out" / HTML_FILE).read_text()).root.with_id("comparison")
    head, first, *_ = rows_of(section.all("table")[0])
    assert head == ["task", "metric", "this", "other", "difference", "95 % interval", "finding"]
    entry = report["comparison"]["tasks"]["zero-shot"]["metrics"]["macro_auc"]
    assert first[:5] == [
        "Zero-shot classification",
        "macro AUC",
        f"{entry['value']:.3f}",
        f"{entry['other']:.3f}",
        f"{entry['difference']:+.3f}",
    ]
    assert first[6] == "better"
    assert "Comparison with Worse" in section.text
    assert "An average with a label of ten patients or fewer does so up to about twice as often" in section.text
