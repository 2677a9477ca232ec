"""Rows that a task cannot use: the task is skipped with a sentence, and the others run."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.data.manifest import Manifest
from model.engine_embedder import EngineEmbedder
from model.errors import ManifestError
from model.evaluation.evaluate import evaluate
from model.evaluation.options import CLASSIFICATION_TASKS, EvaluationOptions
from model.evaluation.prompts import as_prompts
from model.evaluation.report.report import write_report
from tests.support.colour_engine import ColourEngine, colour_manifest

OPTIONS = EvaluationOptions(samples=2, target="age", by=("sex",))
FITTED = ("knn", "linear-probe", "regression")
Change = Callable[[int, dict[str, str]], dict[str, str]]


def changed(manifest: Manifest, change: Change, rows: int | None = None) -> Manifest:
    """The first rows of a manifest with other columns."""
    new_rows = []
    for number, row in enumerate(manifest.rows[:rows]):
        columns = {**row.columns, **change(number, dict(row.columns))}
        new_rows.append(replace(row, columns=columns, label=columns["label"]))
    return replace(manifest, rows=tuple(new_rows))


def report_of(manifest: Manifest, folder: Path, options: EvaluationOptions = OPTIONS, **given: Any) -> dict[str, Any]:
    """The report, once written as files; a warning of numpy or scikit-learn is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluation = evaluate(EngineEmbedder(ColourEngine), manifest, options, **given)
        write_report(evaluation, {}, folder / "out")
    return evaluation.report


def test_rows_of_one_patient_cannot_be_cross_validated(tmp_path: Path) -> None:
    report = report_of(changed(colour_manifest(tmp_path, 12), lambda number, row: {"group": "one"}), tmp_path)
    assert set(report["tasks"]) == {"zero-shot", "prompt-to-image", "text-to-image"}
    for task in FITTED:
        assert "the test rows must be of at least two groups (patients)" in report["skipped"][task]
    assert report["skipped"]["image-to-image"] == "no image shares a label with an image of another group"


def test_rows_of_two_patients_with_one_label_each_cannot_fit_a_linear_probe(tmp_path: Path) -> None:
    manifest = changed(colour_manifest(tmp_path, 12), lambda number, row: {"group": row["label"]}, 4)
    report = report_of(manifest, tmp_path)
    assert "a fit needs rows of at least two labels" in report["skipped"]["linear-probe"]
    assert report["tasks"]["knn"]["learnt_from"] == "2-fold cross-validation by group"


def test_one_row(tmp_path: Path) -> None:
    report = report_of(colour_manifest(tmp_path, 1), tmp_path)
    assert set(report["tasks"]) == {"prompt-to-image", "text-to-image"}
    for task in CLASSIFICATION_TASKS:
        assert report["skipped"][task] == "rows of at least two labels are needed; the column label has only 'red'"
    with pytest.raises(ManifestError, match=r"no task can run: .*\(knn, linear-probe\); .*\(regression\)"):
        report_of(colour_manifest(tmp_path, 1), tmp_path, replace(OPTIONS, tasks=FITTED))


def test_two_rows(tmp_path: Path) -> None:
    two = changed(colour_manifest(tmp_path, 12), lambda number, row: {"label": ("red", "blue")[number], "group": ""}, 2)
    report = report_of(two, tmp_path)
    assert "a fit needs at least two rows with a number" in report["skipped"]["regression"]
    assert report["tasks"]["zero-shot"]["metrics"]["macro_auc"]["interval"] == [None, None]


def test_fewer_rows_than_folds_and_than_neighbours(tmp_path: Path) -> None:
    four = changed(colour_manifest(tmp_path, 12), lambda number, row: {"group": f"{number}"}, 4)
    report = report_of(four, tmp_path, replace(OPTIONS, neighbours=1000))
    assert report["skipped"] == {}
    assert report["tasks"]["knn"]["learnt_from"] == "4-fold cross-validation by group"


def test_every_label_rare(tmp_path: Path) -> None:
    rare = changed(colour_manifest(tmp_path, 12), lambda number, row: {"label": f"red {number}", "group": ""})
    report = report_of(rare, tmp_path)
    assert set(report["skipped"]) == {"image-to-image"}
    assert all(entry["auc"]["interval"] == [None, None] for entry in report["tasks"]["zero-shot"]["labels"].values())


def test_one_patient_among_the_train_rows(tmp_path: Path) -> None:
    train = changed(colour_manifest(tmp_path, 12, split="train", seed=5), lambda number, row: {"group": "one"})
    assert report_of(colour_manifest(tmp_path, 12), tmp_path, train=train)["skipped"] == {}


def test_train_rows_that_cannot_be_used_are_not_replaced_by_cross_validation(tmp_path: Path) -> None:
    train = changed(
        colour_manifest(tmp_path, 12, split="train"), lambda number, row: {"label": "violet", "age": "unknown"}
    )
    report = report_of(colour_manifest(tmp_path, 12), tmp_path, train=train)
    assert set(report["skipped"]) == set(FITTED)
    assert all("none of the 12 train rows can be used" in reason for reason in report["skipped"].values())


def test_numbers_without_end_are_no_numbers(tmp_path: Path) -> None:
    values = ("nan", "inf", "1e307", "-1e300", "", "text")
    manifest = changed(colour_manifest(tmp_path, 12), lambda number, row: {"age": values[number % 6]})
    assert "no row has a number in the column age" in report_of(manifest, tmp_path)["skipped"]["regression"]


def test_prompts_that_cancel_each_other(tmp_path: Path) -> None:
    prompts = as_prompts({"red": ["red", "no red"], "green": "green"})
    report = report_of(colour_manifest(tmp_path, 24), tmp_path, prompts=prompts)
    for task in ("zero-shot", "prompt-to-image"):
        assert report["skipped"][task] == "the prompt 'red' and the others of its label cancel each other"


def test_an_embedding_that_is_not_finite_is_a_bad_row(tmp_path: Path) -> None:
    class Broken(ColourEngine):
        def embed_images(self, staged: Any, *, normalize: bool = True, share: int = 1) -> Any:
            features = super().embed_images(staged)
            features[0] = np.nan
            return features

    evaluation = evaluate(EngineEmbedder(Broken), colour_manifest(tmp_path, 12), OPTIONS)
    assert evaluation.report["bad_rows"]["rows"] == [{"row": 1, "reason": "its embedding is not finite"}]


def test_images_that_are_all_unreadable_end_the_evaluation(tmp_path: Path) -> None:
    manifest = colour_manifest(tmp_path, 6)
    for row in manifest.rows:
        row.image.path.write_text("no image")
    with pytest.raises(ManifestError, match="no usable row: row 1"):
        report_of(manifest, tmp_path)


def test_a_skipped_task_is_in_the_page(tmp_path: Path) -> None:
    report_of(changed(colour_manifest(tmp_path, 12), lambda number, row: {"group": "one"}), tmp_path)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Nearest neighbours is skipped: without train rows" in page
