"""Adapter of Azure's pipeline: the network of `AdapterModel` in Microsoft's healthcareai-examples, without its padding.

The original network convolves over a length of one. Of each kernel of three values, only the middle one meets a value
that is not padding, so each convolution is a linear layer here.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from model.heads.scorers.layers import LayersScorer
from model.heads.scorers.scorer import Activation, Tensors, require_names, require_shape

WIDTH = 512  # of the layers in front of the first convolution
_LAYERS = ("0", "2", "3", "4", "6", "7")


@dataclass(frozen=True)
class AzureAdapterScorer(LayersScorer):
    """Scores embeddings with the layers that `build_azure_layers` makes."""

    @classmethod
    def from_tensors(cls, tensors: Tensors, activation: Activation) -> Self:
        require_names(tensors, {f"{layer}.{kind}" for layer in _LAYERS for kind in ("weight", "bias")})
        require_shape(tensors, "0.weight", (WIDTH, None))
        require_shape(tensors, "4.weight", (None, WIDTH))
        require_shape(tensors, "7.weight", (None, len(tensors["4.weight"])))
        with torch.device("meta"):
            sizes = tensors["0.weight"].shape[1], len(tensors["4.weight"]), len(tensors["7.weight"])
            layers = build_azure_layers(*sizes)
        for name, parameter in layers.state_dict().items():
            require_shape(tensors, name, tuple(parameter.shape))
        layers.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
        return cls(layers.eval(), activation)


def build_azure_layers(embedding_size: int, hidden_size: int, label_count: int) -> nn.Sequential:
    """Make the layers, from an embedding to one logit per label."""
    return nn.Sequential(
        nn.Linear(embedding_size, WIDTH),
        nn.GELU(),
        nn.Linear(WIDTH, WIDTH),
        nn.LayerNorm(WIDTH),
        nn.Linear(WIDTH, hidden_size),
        nn.GELU(),
        nn.Linear(hidden_size, hidden_size),
        nn.Linear(hidden_size, label_count),
    )
