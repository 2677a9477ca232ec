"""Evaluations of an engine whose embeddings are colours."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.data.manifest import Manifest, read_manifest
from model.engine_embedder import EngineEmbedder
from model.errors import ExtraMissing, ManifestError
from model.evaluation.evaluate import evaluate, evaluate_zero_shot
from model.evaluation.options import EvaluationOptions
from model.evaluation.prompts import as_prompts
from model.evaluation.rows import choose_rows
from model.evaluation.statistics.folds import fold_of_rows, out_of_fold
from model.optional_dependencies import extra
from tests.support.colour_engine import COLOURS, ColourEngine, colour_manifest, write_manifest

FEW = EvaluationOptions(samples=8)


def report_of(manifest: Manifest, options: EvaluationOptions = FEW, **given: Any) -> dict[str, Any]:
    return evaluate(EngineEmbedder(ColourEngine), manifest, options, **given).report


def with_labels(manifest: Manifest, label: Callable[[int, str], str]) -> Manifest:
    rows = tuple(replace(row, label=label(place, row.label)) for place, row in enumerate(manifest.rows))
    return replace(manifest, rows=rows)


def test_every_task_tells_the_colours_apart(tmp_path: Path) -> None:
    options = replace(FEW, target="age", by=("sex", "site"))
    tasks = report_of(colour_manifest(tmp_path), options)["tasks"]
    for task in ("zero-shot", "knn", "linear-probe"):
        assert tasks[task]["metrics"]["macro_auc"] == {"value": 1, "interval": [1, 1], "labels": 3}
        assert tasks[task]["confusion"] == [[20, 0, 0], [0, 20, 0], [0, 0, 20]]
        assert tasks[task]["worst_mistakes"] == []
        assert [group["rows"] for group in tasks[task]["subgroups"]["sex"].values()] == [30, 30]
    assert tasks["image-to-image"]["metrics"]["mean_average_precision"]["value"] == 1
    assert tasks["prompt-to-image"]["metrics"]["precision@10"]["value"] == 1
    assert tasks["text-to-image"]["metrics"]["hit@1"]["value"] == 1
    regression = tasks["regression"]["metrics"]
    assert regression["mean_absolute_error"]["value"] < regression["mean_absolute_error_of_the_median"]["value"] / 2


def test_the_same_seed_gives_the_same_report(tmp_path: Path) -> None:
    options = replace(FEW, target="age", by=("sex",))
    manifest = colour_manifest(tmp_path, 24, noise=90)
    one, same = (json.dumps(report_of(manifest, options), allow_nan=False) for _ in range(2))
    assert one == same
    assert json.dumps(report_of(manifest, replace(options, seed=1))) != one


def test_bad_rows_are_listed_by_number(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, 30)
    (tmp_path / "test-0-3.png").write_text("no image")
    (tmp_path / "test-0-7.png").unlink()
    manifest = with_labels(read_manifest(path), lambda place, label: "" if place == 0 else label)
    report = report_of(manifest)
    assert [row["row"] for row in report["bad_rows"]["rows"]] == [4, 8]
    assert report["tasks"]["zero-shot"]["left_out"]["rows"] == [{"row": 1, "reason": "the row has no label"}]
    assert report["tasks"]["zero-shot"]["rows"] == 27


def test_mistakes_name_the_row_of_the_manifest(tmp_path: Path) -> None:
    manifest = with_labels(colour_manifest(tmp_path, 30), lambda place, label: "red" if place == 17 else label)
    mistake = report_of(manifest, replace(FEW, tasks=("zero-shot",)))["tasks"]["zero-shot"]["worst_mistakes"]
    assert [(entry["row"], entry["label"], entry["called"]) for entry in mistake] == [(18, "red", "blue")]


def test_training_rows_that_share_a_group_or_image_with_a_test_row_are_dropped(tmp_path: Path) -> None:
    test_rows = colour_manifest(tmp_path, 30)
    train = read_manifest(write_manifest(tmp_path, 40, split="train", seed=5))
    first = replace(train.rows[0], columns=dict(train.rows[0].columns) | {"group": "test0g3"})
    second = replace(train.rows[1], image=test_rows.rows[4].image)
    train = replace(train, rows=(first, second, *train.rows[2:]))
    report = report_of(test_rows, train=train)
    assert report["training"]["rows"] == 38
    assert report["training"]["dropped_for_overlap"] == 2
    assert report["tasks"]["knn"]["learnt_from"] == "38 train rows"


def test_the_splits_test_and_train_choose_the_rows(tmp_path: Path) -> None:
    rows = [*colour_manifest(tmp_path, 6).rows, *colour_manifest(tmp_path, 8, split="train").rows]
    manifest = Manifest(tmp_path / "both.csv", tuple(rows))
    assert [len(part) for part in choose_rows(manifest, "")] == [6, 8]
    assert [len(part) for part in choose_rows(manifest, "train")] == [8, 0]
    with pytest.raises(ManifestError, match="'val'"):
        choose_rows(manifest, "val")


def test_several_labels_per_row(tmp_path: Path) -> None:
    manifest = with_labels(colour_manifest(tmp_path, 30), lambda _, label: "blue|cold" if label == "blue" else label)
    prompts = as_prompts({label: {"present": label, "absent": f"no {label}"} for label in COLOURS} | {"cold": "blue"})
    tasks = report_of(manifest, replace(FEW, multi_label=True), prompts=prompts)["tasks"]
    zero_shot = tasks["zero-shot"]
    assert "confusion" not in zero_shot
    assert zero_shot["metrics"]["macro_auc"]["value"] == 1
    assert (
        zero_shot["metrics"]["macro_f1"]["value"] is None
    )  # "cold" has no prompts for its absence, so there are no thresholds
    assert tasks["linear-probe"]["metrics"]["balanced_accuracy"]["value"] == 1
    assert tasks["knn"]["metrics"]["macro_f1"]["value"] == 1


def test_prompts_for_absence_decide_at_one_half(tmp_path: Path) -> None:
    manifest = colour_manifest(tmp_path, noise=0)
    prompts = as_prompts({label: {"present": label, "absent": f"no {label}"} for label in COLOURS})
    options = replace(FEW, multi_label=True, tasks=("zero-shot",))
    zero_shot = report_of(manifest, options, prompts=prompts)["tasks"]["zero-shot"]
    assert set(zero_shot["thresholds"].values()) == {0.5}
    assert zero_shot["metrics"]["macro_sensitivity"]["value"] == 1


def test_training_rows_choose_the_thresholds_of_bare_similarities(tmp_path: Path) -> None:
    train = colour_manifest(tmp_path, 60, split="train", seed=2)
    options = replace(FEW, multi_label=True, tasks=("zero-shot",))
    zero_shot = report_of(colour_manifest(tmp_path), options, train=train)["tasks"]["zero-shot"]
    assert zero_shot["metrics"]["balanced_accuracy"]["value"] > 0.9


def test_zero_shot_by_itself(tmp_path: Path) -> None:
    rows = colour_manifest(tmp_path, 30).rows
    report = evaluate_zero_shot(ColourEngine(), rows, {"red": ["red"], "green": "green"}, samples=10)
    assert report["metrics"]["balanced_accuracy"]["value"] == 1
    assert (report["rows"], report["groups"], len(report["left_out"])) == (20, 10, 10)
    with pytest.raises(ManifestError):
        evaluate_zero_shot(ColourEngine(), rows, {"yellow": "red"})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (replace(FEW, tasks=("regression",)), "--target"),
        (replace(FEW, tasks=("regression",), target="site"), "no row has a number"),
        (replace(FEW, by=("sx",)), "no column sx"),
        (replace(FEW, tasks=("knn",), label_column="none"), "no column none"),
    ],
)
def test_the_error_names_what_a_task_lacks(tmp_path: Path, options: EvaluationOptions, sentence: str) -> None:
    with pytest.raises(ManifestError, match=sentence):
        report_of(colour_manifest(tmp_path, 12), options)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(module: str) -> None:
        raise ModuleNotFoundError(module)

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(ExtraMissing, match=r"scikit-learn: install medimageinsight-server\[train\]"):
        extra("sklearn.metrics")


def test_folds_keep_groups_whole_and_share_labels_evenly() -> None:
    truth = np.eye(2, dtype=bool)[[0] * 80 + [1] * 20]
    groups = [row // 2 for row in range(100)]
    folds = fold_of_rows(groups, truth, seed=0)
    assert all(folds[row] == folds[row + 1] for row in range(0, 100, 2))
    assert [int(truth[folds == fold, 1].sum()) for fold in range(5)] == [4] * 5


def test_no_row_is_scored_by_a_fit_that_includes_it() -> None:
    folds = np.array([0, 1, 2, 0])

    def learn_and_score(learn: Any, score: Any) -> Any:
        assert not set(learn) & set(score)
        return score.astype(float)

    assert out_of_fold(learn_and_score, folds).tolist() == [0, 1, 2, 3]
