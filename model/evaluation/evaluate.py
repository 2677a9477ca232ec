"""Evaluation of a model on a manifest: classification, retrieval and regression from its embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from model.data.manifest import Manifest, Row, require_usable_rows
from model.embedder import Embedder
from model.engine_embedder import EngineEmbedder
from model.errors import ManifestError
from model.evaluation.classification import describe
from model.evaluation.evaluator import Evaluation, Evaluator
from model.evaluation.labels import Labels
from model.evaluation.options import DEFAULT_SAMPLES, EvaluationOptions
from model.evaluation.plan import Plan, plan_evaluation
from model.evaluation.prompts import Prompts, as_prompts
from model.evaluation.rows import bad_rows_json, embed_rows, without_overlap
from model.evaluation.statistics.bootstrap import Resampling
from model.evaluation.tasks import zero_shot
from model.imaging.preprocessing import Preprocessing

if TYPE_CHECKING:
    from model.engine import EmbeddingEngine


def evaluate(
    embedder: Embedder,
    manifest: Manifest,
    options: EvaluationOptions,
    *,
    prompts: Prompts | None = None,
    train: Manifest | None = None,
) -> Evaluation:
    """Evaluate a model's embeddings: `plan_evaluation`, then `run_plan`.

    Args:
        embedder: the model.
        manifest: the test rows; unless `train` is given, its rows of the split "train" are the train rows.
        options: what to evaluate.
        prompts: the labels and their prompts; None takes each label of the test rows as its own prompt.
        train: the train rows. Those that share a group or an image with a test row are dropped. Without train
            rows, neighbours, probe and regression are fitted to the test rows by cross-validation over whole groups.

    Raises:
        ManifestError: no task can run, or a column or split is missing or misspelt.
        ExtraMissing: scikit-learn is not installed.
    """
    return run_plan(embedder, plan_evaluation(manifest, options, prompts=prompts, train=train))


def run_plan(embedder: Embedder, plan: Plan, *, progress: bool = False) -> Evaluation:
    """Embed the rows of a plan, and run its tasks. A task that cannot run is skipped; the report says why.

    Args:
        embedder: the model.
        plan: the plan.
        progress: whether to show progress bars of the intervals; default False.

    Raises:
        ManifestError: no task can run.
        ExtraMissing: scikit-learn is not installed.
    """
    test_rows, unreadable = embed_rows(embedder, plan.test_rows)
    if not test_rows.rows:
        require_usable_rows(replace(plan.manifest, rows=(), bad_rows=tuple(unreadable)), strict=False)
    train_rows, unreadable_train = embed_rows(embedder, plan.train_rows)
    train_rows, dropped = without_overlap(train_rows, test_rows)
    labels = plan.labels(test_rows.rows)
    evaluation = Evaluation({}, test_rows, labels)
    evaluation.report |= {
        "rows": len(test_rows.rows),
        "labels": list(labels.names),
        "one_label_a_row": labels.one_label,
        "notes": plan.notes,
        "bad_rows": bad_rows_json([*plan.manifest.bad_rows, *unreadable]),
        "training": {
            "rows": len(train_rows.rows),
            "dropped_for_overlap": dropped,
            "bad_rows": bad_rows_json([*(plan.train.bad_rows if plan.train else ()), *unreadable_train]),
        },
        "tasks": {},
        "skipped": {},
        "draws": {},
    }
    Evaluator(evaluation, embedder, train_rows, plan, progress=progress).run()
    return evaluation


def evaluate_zero_shot(
    engine: "EmbeddingEngine | Embedder",
    rows: Sequence[Row],
    prompts: Mapping[str, Any],
    *,
    label_column: str = "label",
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 (frozen)
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate zero-shot classification of rows with one label each, among the labels of `prompts`.

    Args:
        engine: the model; an `Embedder` uses its own cache and preprocessing.
        rows: the test rows. Rows without a label of `prompts` or without a readable image are left out.
        prompts: label -> a text, or texts whose embeddings are averaged; see `as_prompts` for all forms.
        label_column: the manifest's column with the labels.
        preprocessing: how image files become the encoder's input; default: as the service does it.
        samples: number of draws of the bootstrap over the rows' groups.
        seed: seed of the bootstrap.

    Returns:
        `metrics` (macro averages with 95 % intervals), `labels` (the same for each label), `confusion`, `calibration`,
        `rows` and `groups` (their numbers), and `left_out` (row number -> reason).

    Raises:
        ManifestError: all rows are left out.
    """
    embedder = engine if isinstance(engine, Embedder) else EngineEmbedder(lambda: engine, preprocessing=preprocessing)
    label_prompts = as_prompts(prompts)
    labels = Labels(tuple(label_prompts), one_label=True, column=label_column)
    embedded, bad = embed_rows(embedder, [row for row in rows if not labels.problem(row)])
    if not embedded.rows:
        raise ManifestError("no row is left to evaluate")
    task = zero_shot(embedder, embedded, labels, label_prompts, None)
    resampling = Resampling(embedded.whole_groups, samples, seed)
    left_out = {row.number: labels.problem(row) for row in rows if labels.problem(row)}
    left_out |= {row.number: row.reason for row in bad}
    return describe(task, resampling.estimate(task.measure)) | {
        "rows": len(embedded.rows),
        "groups": resampling.groups,
        "left_out": dict(sorted(left_out.items())),
    }
