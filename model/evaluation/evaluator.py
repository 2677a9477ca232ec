"""Evaluator: runs the tasks of an evaluation and adds each to the report."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from model.embedder import Embedder
from model.errors import ManifestError
from model.evaluation.classification import WORST_MISTAKES, Classification, describe, worst_mistakes
from model.evaluation.labels import Labels
from model.evaluation.options import NEIGHBOUR_VOTE, REGRESSION, RETRIEVAL, RETRIEVALS, ZERO_SHOT
from model.evaluation.plan import Plan, require_a_task
from model.evaluation.prompts import as_prompts
from model.evaluation.rows import EmbeddedRows, bad_rows_json, number_problem, rows_sha256, text_of
from model.evaluation.statistics.bootstrap import Resampling
from model.evaluation.statistics.draws import draws_json
from model.evaluation.statistics.folds import FOLDS
from model.evaluation.statistics.intervals import MACRO, metrics_json
from model.evaluation.statistics.metrics import Floats, Measure, RowValues
from model.evaluation.statistics.subgroups import describe_parts, is_large_enough, parts_of
from model.evaluation.tasks import (
    image_to_image,
    linear_probe,
    nearest_neighbours,
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
        plan: what to evaluate.
        progress: whether to show a progress bar per task; default False.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        embedder: Embedder,
        train_rows: EmbeddedRows,
        plan: Plan,
        *,
        progress: bool = False,
    ) -> None:
        self._evaluation, self._embedder, self._plan, self._progress = evaluation, embedder, plan, progress
        self._options = plan.options
        labels = self._labels = evaluation.labels
        self._prompts = plan.prompts or as_prompts({label: label for label in labels.names})
        self._test_rows, self._left_out = evaluation.test_rows.divide(labels.problem)
        self._train_rows, _ = train_rows.divide(labels.problem)
        self._all_train_rows = train_rows

    def run(self) -> None:
        """Run the tasks of the plan. One that cannot run is skipped, and the report has the reason.

        Raises:
            ManifestError: no task can run.
        """
        report = self._evaluation.report
        for task in self._plan.tasks:
            if problem := self._plan.problem(task, self._evaluation.test_rows.rows):
                report["skipped"][task] = problem
                continue
            for name, run in self._parts_of(task).items():
                if reason := _reason_of_failure(run):
                    report["skipped"][name] = reason
        if not report["tasks"]:
            require_a_task(report["skipped"])

    def _parts_of(self, task: str) -> dict[str, Callable[[], None]]:
        """The entries of the report that a task makes."""
        if task == RETRIEVAL:
            runs = (self._retrieve_by_image, self._retrieve_by_prompt, self._retrieve_by_text)
            return dict(zip(RETRIEVALS, runs, strict=True))
        return {task: self._regress if task == REGRESSION else partial(self._classify, task)}

    def _classify(self, task: str) -> None:
        test_rows, train_rows, labels, options = self._test_rows, self._train_rows, self._labels, self._options
        if task == ZERO_SHOT:
            scored = zero_shot(self._embedder, test_rows, labels, self._prompts, train_rows)
        else:
            self._require_train_rows(train_rows)
            if task == NEIGHBOUR_VOTE:
                scored = nearest_neighbours(test_rows, train_rows, labels, options.neighbours, options.seed)
            else:
                scored = linear_probe(test_rows, train_rows, labels, options.seed)
        self._evaluation.classifications[task] = scored
        report = {
            "learnt_from": None if task == ZERO_SHOT else self._learnt_from(test_rows, train_rows),
            "worst_mistakes": worst_mistakes(scored, test_rows.numbers),
        }
        self._add(task, test_rows, scored.measure, report, scored=scored)

    def _retrieve_by_image(self) -> None:
        test_rows = self._labelled_rows()
        self._add("image-to-image", test_rows, image_to_image(test_rows, self._labels))

    def _retrieve_by_prompt(self) -> None:
        test_rows = self._labelled_rows()
        measure = prompt_to_image(self._embedder, test_rows, self._labels, self._prompts)
        self._add("prompt-to-image", test_rows, measure)

    def _labelled_rows(self) -> EmbeddedRows:
        if not self._labels.names or not self._test_rows.rows:
            raise ManifestError(f"no row has a usable label in the column {self._labels.column}")
        return self._test_rows

    def _retrieve_by_text(self) -> None:
        described, _ = self._evaluation.test_rows.divide(lambda row: "" if text_of(row) else "the row has no text")
        if not described.rows:
            raise ManifestError("no row has a text in the column text")
        self._add("text-to-image", described, text_to_image(self._embedder, described))

    def _regress(self) -> None:
        target = self._options.target
        problem = partial(number_problem, column=target)
        test_rows, left_out = self._evaluation.test_rows.divide(problem)
        train_rows, _ = self._all_train_rows.divide(problem)
        self._require_train_rows(train_rows)
        truth, predicted, naive = regression(test_rows, train_rows, target, self._options.seed)
        self._evaluation.predictions = truth, predicted
        errors = np.abs(predicted - truth)
        worst = np.argsort(-errors, kind="stable")[:WORST_MISTAKES]
        report = {
            "target": target,
            "learnt_from": self._learnt_from(test_rows, train_rows),
            "left_out": bad_rows_json(left_out),
            "worst_mistakes": [
                {"row": test_rows.numbers[row], "value": float(truth[row]), "predicted": float(predicted[row])}
                for row in worst
            ],
        }
        measure = RowValues(
            {"mean_absolute_error": errors, "mean_absolute_error_of_the_median": np.abs(naive - truth)}, most=math.inf
        )
        self._add(REGRESSION, test_rows, measure, report)

    def _require_train_rows(self, train_rows: EmbeddedRows) -> None:
        """Raise ManifestError if rows to learn from are given, but none of them can be used."""
        given = len(self._plan.train_rows)
        if given and not train_rows.rows:
            raise ManifestError(
                f"none of the {given} train rows can be used: they are unreadable, lack what the task learns, "
                "or share a group or an image with a test row"
            )

    def _add(
        self,
        name: str,
        test_rows: EmbeddedRows,
        measure: Measure,
        report: dict[str, Any] | None = None,
        scored: Classification | None = None,
    ) -> None:
        """Add a task to the report, with its metrics and the metrics of its subgroups."""
        by = {
            column: parts_of(column, [row.columns.get(column, "") for row in test_rows.rows])
            for column in self._options.by
        }
        large = [rows for parts in by.values() for rows in parts.values() if is_large_enough(rows)]
        draws = self._options.samples * (1 + len(large))
        with tqdm(total=draws, desc=f"intervals of {name}", unit="draw", disable=not (self._progress and draws)) as bar:
            resampling = Resampling(test_rows.whole_groups, self._options.samples, self._options.seed, bar.update)
            prefix = MACRO if scored else ""
            estimates = resampling.estimate(measure)
            found = describe(scored, estimates) if scored else {"metrics": metrics_json(estimates)}
            subgroups = {column: describe_parts(measure, parts, resampling, prefix) for column, parts in by.items()}
        self._evaluation.report["draws"][name] = draws_json(estimates, prefix)
        self._evaluation.report["tasks"][name] = {
            **found,
            "left_out": bad_rows_json(self._left_out if test_rows is self._test_rows else []),
            **(report or {}),
            "rows": len(test_rows.rows),
            "groups": resampling.groups,
            "rows_sha256": rows_sha256(test_rows, measure.truth),
            "subgroups": subgroups,
        }

    def _learnt_from(self, test_rows: EmbeddedRows, train_rows: EmbeddedRows) -> str:
        if train_rows.rows:
            return f"{len(train_rows.rows)} train rows"
        return f"{min(FOLDS, len(set(test_rows.whole_groups)))}-fold cross-validation by group"


def _reason_of_failure(run: Callable[[], None]) -> str:
    """Run a task; returns why it cannot run, or an empty text."""
    try:
        run()
    except ManifestError as error:
        return str(error)
    return ""
