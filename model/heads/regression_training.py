"""Training of a head that predicts a number, such as an age."""

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from model.errors import ManifestError
from model.evaluation.probes import fit_ridge
from model.evaluation.rows import EmbeddedRows
from model.evaluation.statistics.bootstrap import Resampling
from model.evaluation.statistics.metrics import Floats, RowValues
from model.evaluation.tasks import target_values
from model.heads.adapter_training import with_validation
from model.heads.head import Head
from model.heads.layers_training import fit_layers
from model.heads.options import AdapterOptions
from model.heads.scorers.layers import LayersScorer, build_layers
from model.heads.scorers.scorer import Features
from model.imaging.preprocessing import Preprocessing


def train_regression(
    rows: EmbeddedRows,
    target: str,
    options: AdapterOptions,
    *,
    validation: EmbeddedRows | None = None,
    model: Mapping[str, Any] | None = None,
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 (frozen)
    progress: bool = False,
) -> Head:
    """Train a head that predicts the numbers of a column, by ridge regression or an MLP.

    The details of the head have `mean_absolute_error` on the validation rows, in the unit of the column, and
    `mean_absolute_error_of_the_median` of always answering the median of the train rows. Both have 95 % intervals from
    a bootstrap over whole groups.

    Args:
        rows: the train rows; each has a number in the column.
        target: the column.
        options: options of the training.
        validation: rows that measure the error and end the training of an MLP; each has a number. Default None takes a
            fifth of the groups of `rows` out of the training for this.
        model: `name` and `weights_sha256` of the model that made the embeddings, stored with the head.
        preprocessing: how the images were preprocessed, stored with the head. Default: the usual one.
        progress: whether to show a progress bar; default False.

    Raises:
        ManifestError: a support vector machine is asked for, there are fewer than two groups or different numbers, or
            the numbers are too large.
    """
    if options.kind == "svm":
        raise ManifestError("a support vector machine predicts labels, not numbers: use the kind linear or mlp")
    rows, validation = with_validation(rows, np.zeros((len(rows.rows), 1), dtype=np.bool_), validation, options.seed)
    values, validation_values = target_values(rows, target), target_values(validation, target)
    if values.min() == values.max():
        raise ManifestError(f"the train rows need at least two different numbers in the column {target}")
    train, held_out = (rows.features, values), (validation.features, validation_values)
    is_ridge = options.kind == "linear"
    layers, results = _fit_ridge(train) if is_ridge else _fit_mlp(train, held_out, options, progress)
    scorer = LayersScorer(layers, "identity")
    predicted = scorer.scores(validation.features, each_label_by_itself=False)[:, 0]
    if not all(torch.isfinite(tensor).all() for tensor in (*scorer.tensors().values(), torch.from_numpy(predicted))):
        raise ManifestError(f"the numbers in the column {target} are too large for 32-bit floating point")
    details = options.used(is_regression=True) | {"rows": len(rows.rows), "validation_rows": len(validation.rows)}
    details |= results | _errors(validation, validation_values, predicted, float(np.median(values)), options.seed)
    return Head(options.kind, (target,), "identity", scorer, model or {}, preprocessing, {}, details)


def _fit_ridge(train: tuple[Features, Floats]) -> tuple[nn.Sequential, dict[str, Any]]:
    """The fitted layer, and its penalty."""
    fitted = fit_ridge(*train)
    layers = build_layers((train[0].shape[1], 1))
    tensors = {"0.weight": torch.from_numpy(fitted.weights[None]), "0.bias": torch.tensor([fitted.bias])}
    layers.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return layers.eval(), {"ridge_penalty": fitted.penalty}


def _fit_mlp(
    train: tuple[Features, Floats], validation: tuple[Features, Floats], options: AdapterOptions, progress: bool
) -> tuple[nn.Sequential, dict[str, Any]]:
    """The fitted layers, and the results of their training. The loss is that of numbers of mean 0 and variance 1."""
    mean, deviation = float(train[1].mean()), float(train[1].std())

    def standardized(features: Features, values: Floats) -> tuple[Features, Floats]:
        return features, ((values - mean) / deviation)[:, None]

    fitted = fit_layers(standardized(*train), standardized(*validation), "identity", options, progress=progress)
    last = cast(nn.Linear, fitted.layers[-1])
    with torch.no_grad():
        last.weight.mul_(deviation)
        last.bias.mul_(deviation).add_(mean)
    return fitted.layers, {"best_epoch": fitted.best_epoch, "validation_loss": fitted.validation_loss}


def _errors(validation: EmbeddedRows, truth: Floats, predicted: Floats, median: float, seed: int) -> dict[str, Any]:
    """JSON object of the mean absolute errors with their intervals."""
    errors = {
        "mean_absolute_error": np.abs(predicted - truth),
        "mean_absolute_error_of_the_median": np.abs(median - truth),
    }
    found = Resampling(validation.groups, seed=seed).estimate(RowValues(errors, most=math.inf))
    return {name: estimate.macro.as_json() for name, estimate in found.items()}
