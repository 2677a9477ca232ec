"""Training of an adapter on embedded rows, and choice of its thresholds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from model.errors import ManifestError
from model.evaluation.labels import Labels, truth_of
from model.evaluation.rows import EmbeddedRows
from model.evaluation.statistics.folds import fold_of_rows
from model.evaluation.statistics.intervals import number_json
from model.evaluation.statistics.metrics import Flags, Floats, ScoredLabels, macro
from model.evaluation.statistics.thresholds import Threshold, sensitivity_threshold, youden_threshold
from model.heads.head import Head
from model.heads.layers_training import fit_layers
from model.heads.options import AdapterOptions
from model.heads.scorers.layers import LayersScorer
from model.heads.scorers.scorer import Activation, Scorer
from model.heads.svm_training import fit_svm
from model.imaging.preprocessing import Preprocessing

SENSITIVITY = 0.9


def train_adapter(
    rows: EmbeddedRows,
    labels: Labels,
    options: AdapterOptions,
    *,
    validation: EmbeddedRows | None = None,
    model: Mapping[str, Any] | None = None,
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 (frozen)
    progress: bool = False,
) -> Head:
    """Train a head that predicts labels, and choose its thresholds on the validation rows.

    Args:
        rows: the train rows.
        labels: the labels that the adapter predicts.
        options: options of the training.
        validation: rows that end the training, calibrate a support vector machine, and choose the thresholds. Default
            None takes a fifth of the groups of `rows` out of the training for this.
        model: `name` and `weights_sha256` of the model that made the embeddings, stored with the head.
        preprocessing: how the images were preprocessed, stored with the head. Default: the usual one.
        progress: whether to show a progress bar; default False.

    Raises:
        ManifestError: there are fewer than two labels, or fewer than two groups, or a machine lacks rows of a label.
    """
    if len(labels.names) < 2 and labels.one_label:
        raise ManifestError("an adapter needs rows of at least two labels")
    rows, validation = with_validation(rows, truth_of(rows.rows, labels), validation, options.seed)
    train = rows.features, truth_of(rows.rows, labels)
    held_out = validation.features, truth_of(validation.rows, labels)
    activation: Activation = "softmax" if labels.one_label else "sigmoid"
    scorer: Scorer
    if options.kind == "svm":
        scorer, uncalibrated = fit_svm(labels.names, train, held_out, activation, options)
        results: dict[str, Any] = {"uncalibrated_labels": uncalibrated}
    else:
        fitted = fit_layers(train, held_out, activation, options, progress=progress)
        scorer = LayersScorer(fitted.layers, activation)
        results = {"best_epoch": fitted.best_epoch, "validation_loss": fitted.validation_loss}
    scores = scorer.scores(held_out[0], each_label_by_itself=False)
    thresholds = choose_thresholds(labels.names, held_out[1], scores)
    details = options.used() | {"rows": len(rows.rows), "validation_rows": len(validation.rows)} | results
    details |= validation_metrics(labels, train[1], held_out[1], scores)
    return Head(options.kind, labels.names, activation, scorer, model or {}, preprocessing, thresholds, details)


def with_validation(
    rows: EmbeddedRows, truth: Flags, validation: EmbeddedRows | None, seed: int
) -> tuple[EmbeddedRows, EmbeddedRows]:
    """The train rows and the validation rows.

    Args:
        rows: the train rows.
        truth: (n, L), their labels, which the validation rows share evenly.
        validation: the validation rows; if there are none, they are a fifth of the groups of `rows`.
        seed: seed of the choice of these groups.

    Raises:
        ManifestError: there are fewer than two groups.
    """
    if validation is None or not validation.rows:
        held_out = fold_of_rows(rows.whole_groups, truth, seed) == 0
        validation, rows = rows.take(np.flatnonzero(held_out).tolist()), rows.take(np.flatnonzero(~held_out).tolist())
    if not rows.rows or not validation.rows:
        raise ManifestError("an adapter needs rows of at least two groups: one to train on and another to validate on")
    return rows, validation


def validation_metrics(labels: Labels, train_truth: Flags, truth: Flags, scores: Floats) -> dict[str, Any]:
    """JSON object of what the validation rows say about a classifier.

    Args:
        labels: the L labels.
        train_truth: (m, L), which labels each train row has.
        truth: (n, L), which labels each validation row has.
        scores: (n, L), the scores of the validation rows.

    Returns:
        `per_label`: per label `rows`, `validation_rows` and `auc`, the area under the ROC curve. If each row has one
        label, also `accuracy` and `balanced_accuracy`, the mean over the labels of the share that is found. None
        replaces a number that the rows do not define.
    """
    values = ScoredLabels(truth, scores)(np.ones(len(truth)))
    per_label = {
        label: {
            "rows": int(train_truth[:, column].sum()),
            "validation_rows": int(truth[:, column].sum()),
            "auc": number_json(float(values["auc"][column])),
        }
        for column, label in enumerate(labels.names)
    }
    if not labels.one_label:
        return {"per_label": per_label}
    accuracies = {name: number_json(float(macro(values[name]))) for name in ("accuracy", "balanced_accuracy")}
    return {"per_label": per_label, **accuracies}


def choose_thresholds(labels: tuple[str, ...], truth: Flags, scores: Floats) -> dict[str, dict[str, Any]]:
    """The thresholds of each label, as in `Head.thresholds`.

    Args:
        labels: the L labels.
        truth: (n, L), which labels each validation row has.
        scores: (n, L), the scores of the labels.
    """

    def facts(threshold: Threshold | None) -> dict[str, float] | None:
        return None if threshold is None else vars(threshold)

    return {
        label: {
            "sensitivity_90": facts(sensitivity_threshold(truth[:, column], scores[:, column], SENSITIVITY)),
            "youden": facts(youden_threshold(truth[:, column], scores[:, column])),
        }
        for column, label in enumerate(labels)
    }
