"""Plan of an evaluation: what is known from the manifest and the prompts, before anything is embedded."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model.data.manifest import Manifest, Row
from model.embedder import shortened
from model.errors import ManifestError
from model.evaluation.labels import Labels, find_labels, labels_of
from model.evaluation.options import CLASSIFICATION_TASKS, REGRESSION, RETRIEVAL, RETRIEVALS, EvaluationOptions
from model.evaluation.prompts import Prompts
from model.evaluation.rows import TEST, TRAIN, choose_rows, number_of, text_of
from model.evaluation.statistics.subgroups import parts_of

MOST_LISTED = 5  # names in a sentence


@dataclass(frozen=True)
class Plan:
    """Plan of an evaluation.

    Attributes:
        manifest: the manifest of the test rows.
        options: what to evaluate.
        prompts: the labels and their prompts; None if each label is its own prompt.
        train: the manifest of the train rows; None if they are rows of `manifest`.
        test_rows: the rows to score.
        train_rows: the rows to learn from; empty for cross-validation.
        notes: sentences on labels without prompts, and on prompts without rows.
    """

    manifest: Manifest
    options: EvaluationOptions
    prompts: Prompts | None
    train: Manifest | None
    test_rows: list[Row]
    train_rows: list[Row]
    notes: list[str]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the options, or all tasks."""
        every = (*CLASSIFICATION_TASKS, RETRIEVAL, *([REGRESSION] if self.options.target else []))
        return self.options.tasks or every

    @property
    def entries(self) -> list[str]:
        """The entries that the report gets if every task runs that may."""
        runnable = [task for task in self.tasks if not self.problem(task, self.test_rows)]
        return [entry for task in runnable for entry in (RETRIEVALS if task == RETRIEVAL else (task,))]

    def labels(self, rows: Sequence[Row]) -> Labels:
        """The labels of the evaluation if these are the test rows."""
        return find_labels(rows, self.options.label_column, tuple(self.prompts or ()), self.options.multi_label)

    def problem(self, task: str, rows: Sequence[Row]) -> str:
        """Why a task cannot score these test rows, in one sentence; empty if it can."""
        if task == REGRESSION:
            return self._target_problem(rows)
        problem = self._label_problem(rows)
        if task == RETRIEVAL:
            return f"{problem}, and no row has a text" if problem and not any(map(text_of, rows)) else ""
        labels = self.labels(rows)
        if not problem and len(labels.names) < 2:
            return f"rows of at least two labels are needed; the column {labels.column} has only {listed(labels.names)}"
        return problem

    def _label_problem(self, rows: Sequence[Row]) -> str:
        labels = self.labels(rows)
        found = dict.fromkeys(label for row in rows for label in labels_of(row, labels.column))
        if not found:
            return f"no row has a label in the column {labels.column}"
        if problem := self.prompt_problem(rows):
            return problem
        problems = [labels.problem(row) for row in rows]
        return "" if "" in problems else f"no row can be used: {problems[0]}"

    def prompt_problem(self, rows: Sequence[Row]) -> str:
        """That no label of the rows has a prompt; empty if one has, or if there are no labels."""
        labels = self.labels(rows)
        found = dict.fromkeys(label for row in rows for label in labels_of(row, labels.column))
        if not found or set(found) & set(labels.names):
            return ""
        return (
            f"no label of the rows has a prompt: the column {labels.column} has {listed(found)}, "
            f"and the prompts are for {listed(labels.names)}"
        )

    def _target_problem(self, rows: Sequence[Row]) -> str:
        target = self.options.target
        if not target:
            return "--target must name a column of numbers"
        usable = any(math.isfinite(number_of(row.columns.get(target, ""))) for row in rows)
        return "" if usable else f"no row has a number in the column {target}"


def plan_evaluation(
    manifest: Manifest, options: EvaluationOptions, *, prompts: Prompts | None = None, train: Manifest | None = None
) -> Plan:
    """Choose the rows of an evaluation, and check all that can be checked without embeddings.

    Args:
        manifest, options, prompts, train: as for `model.evaluation.evaluate.evaluate`.

    Raises:
        ManifestError: no task can run, or a column or split is missing or misspelt.
    """
    for given in (manifest, *([train] if train else [])):
        _check_columns(given, options, is_train=given is train)
    rows, train_rows = choose_rows(manifest, options.split)
    if train is not None:
        train_rows = list(train.with_split(TRAIN).rows if TRAIN in train.splits else train.rows)
    for column in options.by:
        parts_of(column, [row.columns.get(column, "") for row in rows])
    plan = Plan(manifest, options, prompts, train, rows, train_rows, _notes(rows, options, prompts))
    if prompts is not None and (problem := plan.prompt_problem(rows)):
        raise ManifestError(problem)
    require_a_task({task: plan.problem(task, rows) for task in plan.tasks})
    return plan


def require_a_task(problems: dict[str, str]) -> None:
    """Raise ManifestError if every task has a problem.

    Args:
        problems: task -> why it cannot run; empty if it can.
    """
    if all(problems.values()):
        by_problem: dict[str, list[str]] = {}
        for task, problem in problems.items():
            by_problem.setdefault(problem, []).append(task)
        sentences = (f"{problem} ({', '.join(tasks)})" for problem, tasks in by_problem.items())
        raise ManifestError(f"no task can run: {'; '.join(sentences)}")


def listed(names: Iterable[str]) -> str:
    """The first names in quotes, and the number of the others."""
    every = list(names)
    more = f" and {len(every) - MOST_LISTED} more" if len(every) > MOST_LISTED else ""
    return ", ".join(shortened(name) for name in every[:MOST_LISTED]) + more


def require_columns(
    manifest: Manifest, required: Sequence[str], optional: Sequence[str] = (), *, splits: Sequence[str]
) -> None:
    """Raise ManifestError if a column is missing or misspelt, or a value of the column split is misspelt.

    Args:
        manifest: the manifest.
        required: the columns that must be there.
        optional: columns that may be missing, but may not stand there in another spelling.
        splits: the values of the column split that have a meaning.
    """
    columns = list(dict.fromkeys(name for row in manifest.rows for name in row.columns))
    for name in dict.fromkeys((*optional, *required)):
        if name in columns:
            continue
        similar = [column for column in columns if _plain(column) == _plain(name)]
        if similar and name in ("label", "text", "split", "group"):
            raise ManifestError(
                f"{manifest.path.name} has a column {shortened(similar[0])}; it must be called {shortened(name)}"
            )
        if similar:
            raise ManifestError(f"{manifest.path.name} has no column {shortened(name)}; it has {listed(similar)}")
        if name in required:
            raise ManifestError(f"{manifest.path.name} has no column {name}; its columns are {listed(columns)}")
    for value in manifest.splits:
        if value not in splits and _plain(value) in splits:
            raise ManifestError(
                f"the column split of {manifest.path.name} has the value {shortened(value)}; "
                f"it must be {shortened(_plain(value))}"
            )


def _check_columns(manifest: Manifest, options: EvaluationOptions, *, is_train: bool) -> None:
    required = [] if options.label_column == "label" else [options.label_column]
    required += [] if is_train else options.by
    target = [options.target] if options.target else []
    optional = (options.label_column, "text", "split", "group", *target)
    require_columns(manifest, required, optional, splits=(TEST, TRAIN))


def _notes(rows: Sequence[Row], options: EvaluationOptions, prompts: Prompts | None) -> list[str]:
    if prompts is None:
        return []
    found = dict.fromkeys(label for row in rows for label in labels_of(row, options.label_column))
    without_prompt = [label for label in found if label not in prompts]
    without_row = [label for label in prompts if label not in found]
    return [
        *([f"labels without a prompt, which do not count: {listed(without_prompt)}"] if without_prompt else []),
        *([f"labels of the prompts that no row has: {listed(without_row)}"] if without_row else []),
    ]


def _plain(name: str) -> str:
    return name.strip().casefold()
