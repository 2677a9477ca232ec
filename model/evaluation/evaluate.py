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
from model.evaluation.labels import Labels, find_labels
from model.evaluation.options import DEFAULT_SAMPLES, EvaluationOptions
from model.evaluation.prompts import Prompts, as_prompts
from model.evaluation.rows import bad_rows_json, choose_rows, embed_rows, without_overlap
from model.evaluation.statistics.bootstrap import Resampling
from model.evaluation.tasks import zero_shot
from model.imaging.preprocessing import Standardization

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
    """Evaluate a model's embeddings.

    Args:
        embedder: the model.
        manifest: the test rows; unless `train` is given, its rows of the split "train" are the train rows.
        options: what to evaluate.
        prompts: the labels and their prompts; None takes each label of the test rows as its own prompt.
        train: the train rows. Those that share a group or an image with a test row are dropped. Without train
            rows, neighbours, probe and regression are fitted to the test rows by cross-validation over whole groups.

    Raises:
        ManifestError: the manifest lacks what a task needs.
        ExtraMissing: scikit-learn is not installed.
    """
    rows, rows_to_train_on = choose_rows(manifest, options.split)
    for column in options.by:
        if not any(column in row.columns for row in rows):
            raise ManifestError(f"{manifest.path.name} has no column {column}")
    if train is not None:
        rows_to_train_on = list(train.with_split("train").rows if "train" in train.splits else train.rows)
    test_rows, unreadable = embed_rows(embedder, rows)
    if not test_rows.rows:
        require_usable_rows(replace(manifest, rows=(), bad_rows=tuple(unreadable)), strict=False)
    train_rows, unreadable_train = embed_rows(embedder, rows_to_train_on)
    train_rows, dropped = without_overlap(train_rows, test_rows)
    labels = find_labels(test_rows.rows, options.label_column, tuple(prompts or ()), options.multi_label)
    evaluation = Evaluation({}, test_rows, labels)
    evaluation.report |= {
        "rows": len(test_rows.rows),
        "labels": list(labels.names),
        "one_label_a_row": labels.one_label,
        "bad_rows": bad_rows_json([*manifest.bad_rows, *unreadable]),
        "training": {
            "rows": len(train_rows.rows),
            "dropped_for_overlap": dropped,
            "bad_rows": bad_rows_json([*(train.bad_rows if train else ()), *unreadable_train]),
        },
        "tasks": {},
    }
    label_prompts = prompts or as_prompts({label: label for label in labels.names})
    Evaluator(evaluation, embedder, train_rows, label_prompts, options).run()
    return evaluation


def evaluate_zero_shot(
    engine: "EmbeddingEngine | Embedder",
    rows: Sequence[Row],
    prompts: Mapping[str, Any],
    *,
    label_column: str = "label",
    standardization: Standardization | None = Standardization(),  # noqa: B008 (frozen)
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate zero-shot classification of rows with one label each, among the labels of `prompts`.

    Args:
        engine: the model; an `Embedder` uses its own cache and standardisation.
        rows: the test rows. Rows without a label of `prompts` or without a readable image are left out.
        prompts: label -> a text, or texts whose embeddings are averaged; see `as_prompts` for all forms.
        label_column: the manifest's column with the labels.
        standardization: the service's standardisation of images (512 pixels, JPEG); None skips it.
        samples: number of draws of the bootstrap over the rows' groups.
        seed: seed of the bootstrap.

    Returns:
        `metrics` (macro averages with 95 % intervals), `labels` (the same for each label), `confusion`, `calibration`,
        `rows` and `groups` (their numbers), and `left_out` (row number -> reason).

    Raises:
        ManifestError: all rows are left out.
    """
    embedder = (
        engine if isinstance(engine, Embedder) else EngineEmbedder(lambda: engine, standardization=standardization)
    )
    label_prompts = as_prompts(prompts)
    labels = Labels(tuple(label_prompts), one_label=True, column=label_column)
    embedded, bad = embed_rows(embedder, [row for row in rows if not labels.problem(row)])
    if not embedded.rows:
        raise ManifestError("no row is left to evaluate")
    task = zero_shot(embedder, embedded, labels, label_prompts, None)
    resampling = Resampling(embedded.groups, samples, seed)
    left_out = {row.number: labels.problem(row) for row in rows if labels.problem(row)}
    left_out |= {row.number: row.reason for row in bad}
    return describe(task, resampling) | {
        "rows": len(embedded.rows),
        "groups": resampling.groups,
        "left_out": dict(sorted(left_out.items())),
    }
