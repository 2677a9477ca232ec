"""Training of an adapter on embedded rows, and choice of its thresholds."""

from dataclasses import asdict
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import trange

from model.errors import ManifestError
from model.evaluation.labels import Labels, truth_of
from model.evaluation.rows import EmbeddedRows
from model.evaluation.statistics.folds import fold_of_rows
from model.evaluation.statistics.metrics import Flags, Floats
from model.evaluation.statistics.thresholds import Threshold, sensitivity_threshold, youden_threshold
from model.heads.adapter import Adapter, Features, build_layers
from model.heads.options import AdapterOptions

SENSITIVITY = 0.9


def train_adapter(
    rows: EmbeddedRows,
    labels: Labels,
    options: AdapterOptions,
    *,
    validation: EmbeddedRows | None = None,
    model: dict[str, Any] | None = None,
    progress: bool = False,
) -> Adapter:
    """Train an adapter with AdamW, keep the epoch with the lowest validation loss, and choose thresholds.

    Args:
        rows: the train rows.
        labels: the labels that the adapter predicts.
        options: options of the training.
        validation: rows that end the training and choose the thresholds. Default None takes a fifth of the groups of
            `rows` out of the training for this.
        model: name and checksum of the model that made the embeddings, stored with the adapter.
        progress: whether to show a progress bar; default False.

    Raises:
        ManifestError: there are fewer than two labels, or fewer than two groups.
    """
    truth = truth_of(rows.rows, labels)
    if len(labels.names) < 2 and labels.one_label:
        raise ManifestError("an adapter needs rows of at least two labels")
    if validation is None or not validation.rows:
        held_out = fold_of_rows(rows.whole_groups, truth, options.seed) == 0
        validation, rows = rows.take(np.flatnonzero(held_out).tolist()), rows.take(np.flatnonzero(~held_out).tolist())
        truth = truth_of(rows.rows, labels)
    if not rows.rows or not validation.rows:
        raise ManifestError("an adapter needs rows of at least two groups: one to train on and another to validate on")
    validation_truth = truth_of(validation.rows, labels)
    sizes = (rows.features.shape[1], *([options.hidden] if options.hidden else []), len(labels.names))
    layers, epochs, loss = _fit(
        sizes, (rows.features, truth), (validation.features, validation_truth), labels.one_label, options, progress
    )
    adapter = Adapter(labels.names, labels.one_label, sizes, layers)
    scores = adapter.probabilities(validation.features)
    training = asdict(options) | {"rows": len(rows.rows), "validation_rows": len(validation.rows)}
    training |= {"best_epoch": epochs, "validation_loss": loss}
    thresholds = choose_thresholds(labels.names, validation_truth, scores)
    return Adapter(labels.names, labels.one_label, sizes, layers, thresholds, model or {}, training)


def choose_thresholds(labels: tuple[str, ...], truth: Flags, scores: Floats) -> dict[str, dict[str, Any]]:
    """The thresholds of each label, as in `Adapter.thresholds`.

    Args:
        labels: the L labels.
        truth: (n, L), which labels each validation row has.
        scores: (n, L), the probabilities of the labels.
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


def _fit(
    sizes: tuple[int, ...],
    train: tuple[Features, Flags],
    validation: tuple[Features, Flags],
    one_label: bool,
    options: AdapterOptions,
    progress: bool,
) -> tuple[nn.Sequential, int, float]:
    """The layers of the best epoch, its number, and its validation loss."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        layers = build_layers(sizes)
        scale, shift = _whitening(train[0])
        features, truth = (torch.from_numpy(train[0]) - shift) * scale, torch.from_numpy(train[1])
        validation_features = (torch.from_numpy(validation[0]) - shift) * scale
        validation_truth = torch.from_numpy(validation[1])
        weights = _class_weights(truth, one_label)
        optimizer = torch.optim.AdamW(layers.parameters(), options.learning_rate, weight_decay=options.weight_decay)
        best, best_epoch, state = float("inf"), 0, _copy(layers)
        for epoch in trange(1, options.epochs + 1, desc="adapter", unit="epoch", disable=not progress):
            layers.train()
            for batch in torch.split(torch.randperm(len(features)), options.batch_size):
                optimizer.zero_grad()
                _loss(layers(features[batch]), truth[batch], weights, one_label).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            layers.eval()
            with torch.no_grad():
                loss = float(_loss(layers(validation_features), validation_truth, weights, one_label))
            if loss < best:
                best, best_epoch, state = loss, epoch, _copy(layers)
            elif epoch - best_epoch >= options.patience:
                break
        layers.load_state_dict(state)
        _fold_in(layers, scale, shift)
    return layers.eval(), best_epoch, best


def _loss(logits: Tensor, truth: Tensor, weights: Tensor, one_label: bool) -> Tensor:
    if one_label:
        return F.cross_entropy(logits, truth.float().argmax(dim=1), weight=weights)
    return F.binary_cross_entropy_with_logits(logits, truth.float(), pos_weight=weights)


def _class_weights(truth: Tensor, one_label: bool) -> Tensor:
    """Weights (L,) that make rare labels count as much as the others, limited to 0.1 to 10."""
    shares = truth.float().mean(dim=0).clamp(min=1e-6)
    weights = 1 / (shares * len(shares)) if one_label else (1 - shares) / shares
    return weights.clamp(0.1, 10)


def _whitening(features: Features) -> tuple[Tensor, Tensor]:
    """Scale (D,) and shift (D,) to mean 0 and variance 1: the components of a unit-norm embedding are tiny."""
    return torch.from_numpy(1 / (features.std(axis=0) + 1e-6)), torch.from_numpy(features.mean(axis=0))


def _fold_in(layers: nn.Sequential, scale: Tensor, shift: Tensor) -> None:
    """Move scale and shift into the first layer, so that it takes embeddings without them."""
    first = cast(nn.Linear, layers[0])
    with torch.no_grad():
        first.weight.mul_(scale)
        first.bias.sub_(first.weight @ shift)


def _copy(layers: nn.Sequential) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in layers.state_dict().items()}
