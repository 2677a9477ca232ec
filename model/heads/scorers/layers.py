"""Linear layer, or two with a hidden layer between them, trained on embeddings."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import nn

from model.heads.scorers.scorer import (
    Activation,
    Features,
    Scores,
    Tensors,
    activated,
    require_names,
    require_shape,
    tensor_of,
)

DROPOUT = 0.1


@dataclass(frozen=True)
class LayersScorer:
    """Scores embeddings with linear layers.

    Args:
        layers: the layers that `build_layers` makes, in eval mode.
        activation: what makes scores of the last layer's output.
    """

    layers: nn.Sequential
    activation: Activation

    @property
    def embedding_size(self) -> int:
        return int(self.tensors()["0.weight"].shape[1])

    @property
    def label_count(self) -> int:
        return len([*self.tensors().values()][-1])

    @property
    def has_negatives(self) -> bool:
        return False

    @cached_property
    def multiplications(self) -> int:
        return sum(parameter.numel() for parameter in self.layers.parameters())

    def scores(self, features: Features, *, each_label_by_itself: bool) -> Scores:  # noqa: ARG002 (as the other kinds)
        with torch.inference_mode():
            return activated(self.layers(tensor_of(features)), self.activation)

    def tensors(self) -> Tensors:
        return {name: tensor.detach().contiguous() for name, tensor in self.layers.state_dict().items()}

    @classmethod
    def from_tensors(cls, tensors: Tensors, activation: Activation) -> Self:
        is_linear = tensors.keys() == {"0.weight", "0.bias"}
        require_names(tensors, {"0.weight", "0.bias"} | (set() if is_linear else {"3.weight", "3.bias"}))
        last = "0" if is_linear else "3"
        for layer in dict.fromkeys(("0", last)):
            require_shape(tensors, f"{layer}.weight", (None, None if layer == "0" else len(tensors["0.weight"])))
            require_shape(tensors, f"{layer}.bias", (len(tensors[f"{layer}.weight"]),))
        hidden = () if is_linear else (len(tensors["0.weight"]),)
        layers = build_layers((tensors["0.weight"].shape[1], *hidden, len(tensors[f"{last}.weight"])))
        layers.load_state_dict(tensors)
        return cls(layers.eval(), activation)


def build_layers(sizes: tuple[int, ...]) -> nn.Sequential:
    """Make the layers: one linear layer for two sizes, a hidden layer in between for three."""
    if len(sizes) == 2:
        return nn.Sequential(nn.Linear(*sizes))
    return nn.Sequential(nn.Linear(sizes[0], sizes[1]), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(sizes[1], sizes[2]))
