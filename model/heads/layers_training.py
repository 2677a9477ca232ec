"""Training of a linear layer, or of an MLP, on embeddings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import trange

from model.evaluation.statistics.metrics import Flags, Floats
from model.heads.options import AdapterOptions
from model.heads.scorers.layers import build_layers
from model.heads.scorers.scorer import Activation, Features

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class FittedLayers:
    """The layers of the best epoch, in eval mode, its number, and its validation loss."""

    layers: nn.Sequential
    best_epoch: int
    validation_loss: float


def fit_layers(
    train: tuple[Features, Flags | Floats],
    validation: tuple[Features, Flags | Floats],
    activation: Activation,
    options: AdapterOptions,
    *,
    progress: bool = False,
) -> FittedLayers:
    """Train with AdamW, and keep the epoch with the lowest validation loss.

    Args:
        train: embeddings (n, D), and the labels of each row, (n, L), or the numbers to predict, (n, 1).
        validation: the same of the validation rows.
        activation: softmax: each row has one label; sigmoid: a row has any number of labels; identity: numbers.
        options: options of the training.
        progress: whether to show a progress bar; default False.
    """
    hidden = [options.hidden] if options.kind == "mlp" else []
    sizes = (train[0].shape[1], *hidden, train[1].shape[1])
    scale, shift = _whitening(train[0])

    def tensors(features: Features, truth: Flags | Floats) -> tuple[Tensor, Tensor]:
        return (torch.from_numpy(features) - shift) * scale, torch.from_numpy(truth).float()

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        layers = build_layers(sizes)
        loss_of = _loss(torch.from_numpy(train[1]).float(), activation)
        best_epoch, loss = _optimize(layers, tensors(*train), tensors(*validation), loss_of, options, progress)
    _fold_in(layers, scale, shift)
    return FittedLayers(layers.eval(), best_epoch, loss)


def _optimize(
    layers: nn.Sequential,
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    loss_of: Loss,
    options: AdapterOptions,
    progress: bool,
) -> tuple[int, float]:
    """Train the layers and leave them as they were after the best epoch; returns its number and validation loss."""
    optimizer = torch.optim.AdamW(layers.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    best, best_epoch, state = float("inf"), 0, _copy(layers)
    for epoch in trange(1, options.epochs + 1, desc="adapter", unit="epoch", disable=not progress):
        layers.train()
        for batch in torch.split(torch.randperm(len(train[0])), options.batch_size):
            optimizer.zero_grad()
            loss_of(layers(train[0][batch]), train[1][batch]).backward()  # type: ignore[no-untyped-call]  # of torch
            optimizer.step()
        layers.eval()
        with torch.no_grad():
            loss = float(loss_of(layers(validation[0]), validation[1]))
        if loss < best:
            best, best_epoch, state = loss, epoch, _copy(layers)
        elif epoch - best_epoch >= options.patience:
            break
    layers.load_state_dict(state)
    return best_epoch, best


def _whitening(features: Features) -> tuple[Tensor, Tensor]:
    """Scale (D,) and shift (D,) to mean 0 and variance 1: the components of a unit-norm embedding are tiny."""
    return torch.from_numpy(1 / (features.std(axis=0) + 1e-6)), torch.from_numpy(features.mean(axis=0))


def _loss(truth: Tensor, activation: Activation) -> Loss:
    """The loss of outputs (n, L) against the truth (n, L)."""
    if activation == "identity":
        return F.mse_loss
    weights = _class_weights(truth, one_label=activation == "softmax")
    if activation == "softmax":
        return lambda logits, wanted: F.cross_entropy(logits, wanted.argmax(dim=1), weight=weights)
    return lambda logits, wanted: F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weights)


def _class_weights(truth: Tensor, *, one_label: bool) -> Tensor:
    """Weights (L,) that make rare labels count as much as the others, limited to 0.1 to 10."""
    shares = truth.mean(dim=0).clamp(min=1e-6)
    weights = 1 / (shares * len(shares)) if one_label else (1 - shares) / shares
    return weights.clamp(0.1, 10)


def _fold_in(layers: nn.Sequential, scale: Tensor, shift: Tensor) -> None:
    """Move scale and shift into the first layer, so that it takes embeddings without them."""
    first = cast(nn.Linear, layers[0])
    with torch.no_grad():
        first.weight.mul_(scale)
        first.bias.sub_(first.weight @ shift)


def _copy(layers: nn.Sequential) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in layers.state_dict().items()}
