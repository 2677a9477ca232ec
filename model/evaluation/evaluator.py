"""Evaluator: runs the tasks of an evaluation and adds each to the report."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.data.manifest import Row
from model.embedder import Embedder
from model.errors import ManifestError
from model.evaluation.classification import WORST_MISTAKES, Classification, describe, worst_mistakes
from model.evaluation.labels import Labels, truth_of
from model.evaluation.options import (
    CLASSIFICATION_TASKS,
    NEIGHBOUR_VOTE,
    REGRESSION,
    RETRIEVAL,
    ZERO_SHOT,
    EvaluationOptions,
)
from model.evaluation.prompts import Prompts
from model.evaluation.rows import EmbeddedRows, bad_rows_json
from model.evaluation.statistics.bootstrap import MACRO, Measure, Resampling, metrics_json
from model.evaluation.statistics.folds import FOLDS
from model.evaluation.statistics.metrics import Floats, RowValues
from model.evaluation.statistics.subgroups import describe_parts, parts_of
from model.evaluation.tasks import (
    image_to_image,
    linear_probe,
    nearest_neighbours,
    number_of,
    prompt_to_image,
    regression,
    text_to_image,
    zero_shot,
)


@dataclass
class Evaluation:
    """An evaluation: the report, and the data for its pictures.

    Attributes:
        report: the content of report.json, without the facts on model, data and options.
        test_rows: the embedded test rows.
        labels: the labels of the evaluation.
        classifications: task -> scored labels.
        predictions: true and predicted values of the regression, (n,) each; None without a regression.
    """

    report: dict[str, Any]
    test_rows: EmbeddedRows
    labels: Labels
    classifications: dict[str, Classification] = field(default_factory=dict)
    predictions: tuple[Floats, Floats] | None = None


class Evaluator:
    """Runs the tasks of an evaluation and adds each to its report.

    Args:
        evaluation: the evaluation to complete.
        embedder: the model, for the texts.
        train_rows: the embedded train rows; may be empty.
        prompts: the prompts of every label.
        options: what to evaluate.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        embedder: Embedder,
        train_rows: EmbeddedRows,
        prompts: Prompts,
        options: EvaluationOptions,
    ) -> None:
        self._evaluation, self._embedder, self._prompts, self._options = evaluation, embedder, prompts, options
        labels = self._labels = evaluation.labels
        self._test_rows, self._left_out = evaluation.test_rows.divide(labels.problem)
        self._train_rows, _ = train_rows.divide(labels.problem)
        self._all_train_rows = train_rows

    def run(self) -> None:
        """Run the tasks of the options, or all tasks that the data allow.

        Raises:
            ManifestError: the manifest lacks what a task needs.
        """
        several = len(self._labels.names) > 1
        possible = [
            *(CLASSIFICATION_TASKS if several else ()),
            RETRIEVAL,
            *([REGRESSION] if self._options.target else []),
        ]
        for task in self._options.tasks or possible:
            if task == RETRIEVAL:
                self._retrieve()
            elif task == REGRESSION:
                self._regress()
            elif not several or not self._test_rows.rows:
                raise ManifestError(f"{task} needs rows of at least two labels in the column {self._labels.column}")
            else:
                self._classify(task)

    def _classify(self, task: str) -> None:
        test_rows, train_rows, labels, options = self._test_rows, self._train_rows, self._labels, self._options
        if task == ZERO_SHOT:
            scored = zero_shot(self._embedder, test_rows, labels, self._prompts, train_rows)
        elif task == NEIGHBOUR_VOTE:
            scored = nearest_neighbours(test_rows, train_rows, labels, options.neighbours, options.seed)
        else:
            scored = linear_probe(test_rows, train_rows, labels, options.seed)
        self._evaluation.classifications[task] = scored
        report = describe(scored, self._resampling(test_rows)) | {
            "learnt_from": None if task == ZERO_SHOT else self._learnt_from(train_rows),
            "worst_mistakes": worst_mistakes(scored, test_rows.numbers),
        }
        self._add(task, test_rows, scored.measure, report, MACRO)

    def _retrieve(self) -> None:
        test_rows, labels = self._test_rows, self._labels
        if test_rows.rows and labels.names:
            self._add("image-to-image", test_rows, image_to_image(test_rows, labels))
            self._add("prompt-to-image", test_rows, prompt_to_image(self._embedder, test_rows, labels, self._prompts))
        described, _ = self._evaluation.test_rows.divide(
            lambda row: "" if row.columns.get("text", "").strip() else "the row has no text"
        )
        if described.rows:
            self._add("text-to-image", described, text_to_image(self._embedder, described))

    def _regress(self) -> None:
        target = self._options.target
        if not target:
            raise ManifestError("the task regression needs --target, the name of a column of numbers")

        def problem(row: Row) -> str:
            finite = math.isfinite(number_of(row.columns.get(target, "")))
            return "" if finite else f"the column {target} has no number"

        test_rows, left_out = self._evaluation.test_rows.divide(problem)
        train_rows, _ = self._all_train_rows.divide(problem)
        if not test_rows.rows:
            raise ManifestError(f"no row has a number in the column {target}")
        truth, predicted, naive = regression(test_rows, train_rows, target, self._options.seed)
        self._evaluation.predictions = truth, predicted
        errors = np.abs(predicted - truth)
        worst = np.argsort(-errors, kind="stable")[:WORST_MISTAKES]
        report = {
            "target": target,
            "learnt_from": self._learnt_from(train_rows),
            "left_out": bad_rows_json(left_out),
            "worst_mistakes": [
                {"row": test_rows.numbers[row], "value": float(truth[row]), "predicted": float(predicted[row])}
                for row in worst
            ],
        }
        measure = RowValues({"mean_absolute_error": errors, "mean_absolute_error_of_the_median": np.abs(naive - truth)})
        self._add(REGRESSION, test_rows, measure, report)

    def _add(
        self,
        name: str,
        test_rows: EmbeddedRows,
        measure: Measure,
        report: dict[str, Any] | None = None,
        prefix: str = "",
    ) -> None:
        """Add a task to the report, with its metrics, unless `report` has them, and the metrics of its subgroups."""
        resampling = self._resampling(test_rows)
        found = dict(report or {})
        if "metrics" not in found:
            found["metrics"] = metrics_json(resampling.estimate(measure), prefix)
        if "left_out" not in found:
            found["left_out"] = bad_rows_json(self._left_out if test_rows is self._test_rows else [])
        found |= {"rows": len(test_rows.rows), "groups": resampling.groups}
        found["subgroups"] = {
            column: describe_parts(
                measure,
                parts_of(column, [row.columns.get(column, "") for row in test_rows.rows]),
                resampling,
                truth_of(test_rows.rows, self._labels) if self._labels.names else None,
                prefix,
            )
            for column in self._options.by
        }
        self._evaluation.report["tasks"][name] = found

    def _resampling(self, test_rows: EmbeddedRows) -> Resampling:
        return Resampling(test_rows.groups, self._options.samples, self._options.seed)

    def _learnt_from(self, train_rows: EmbeddedRows) -> str:
        return f"{len(train_rows.rows)} train rows" if train_rows.rows else f"{FOLDS}-fold cross-validation by group"
