"""Support vector machines: one per label, each with Platt's sigmoid."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

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

_SIGMOID = ("slope", "offset")
_LINEAR = ("weight", "bias")
_RBF = ("support_vectors", "scale", "gamma", "dual_coefficients", "bias")


@dataclass(frozen=True)
class SvmScorer:
    """Scores embeddings with one support vector machine per label, against all other labels.

    A machine's decision value f becomes the probability 1 / (1 + exp(-(slope · f + offset))): Platt 1999,
    "Probabilistic outputs for support vector machines". If each image has one label, these probabilities are divided
    by their sum, as scikit-learn's `CalibratedClassifierCV` does.

    Args:
        parameters: `slope` (L,) and `offset` (L,), and the machines. Linear machines have `weight` (L, D) and `bias`
            (L,). RBF machines have `support_vectors` (S, D), which they share, `scale` (D,), `gamma` (),
            `dual_coefficients` (L, S) and `bias` (L,). The kernel is exp(-gamma · |scale · (x - support vector)|²).
        activation: softmax: the probabilities of the labels sum to 1; sigmoid: each label by itself.
    """

    parameters: Tensors
    activation: Activation

    @property
    def embedding_size(self) -> int:
        return int(self.parameters["weight" if self.is_linear else "support_vectors"].shape[1])

    @property
    def label_count(self) -> int:
        return len(self.parameters["bias"])

    @property
    def has_negatives(self) -> bool:
        return False

    @cached_property
    def multiplications(self) -> int:
        names = ("weight",) if self.is_linear else ("support_vectors", "dual_coefficients")
        return sum(self.parameters[name].numel() for name in names)

    @property
    def is_linear(self) -> bool:
        """Whether the kernel is linear."""
        return "weight" in self.parameters

    def decision_values(self, features: Features) -> Scores:
        """The machines' decision values (n, L) of embeddings (n, D), before the sigmoid."""
        values: Scores = self._decide(features).numpy()
        return values

    def scores(self, features: Features, *, each_label_by_itself: bool) -> Scores:  # noqa: ARG002 (as the other kinds)
        logits = self.parameters["slope"] * self._decide(features) + self.parameters["offset"]
        # A softmax of the logarithms divides the probabilities by their sum, also where all of them are tiny.
        return activated(F.logsigmoid(logits) if self.activation == "softmax" else logits, self.activation)

    def tensors(self) -> Tensors:
        return {name: tensor.contiguous() for name, tensor in self.parameters.items()}

    @classmethod
    def from_tensors(cls, tensors: Tensors, activation: Activation) -> Self:
        is_linear = "weight" in tensors
        require_names(tensors, {*(_LINEAR if is_linear else _RBF), *_SIGMOID})
        require_shape(tensors, "bias", (None,))
        labels = len(tensors["bias"])
        for name in _SIGMOID:
            require_shape(tensors, name, (labels,))
        if is_linear:
            require_shape(tensors, "weight", (labels, None))
        else:
            require_shape(tensors, "support_vectors", (None, None))
            support_count, size = tensors["support_vectors"].shape
            require_shape(tensors, "scale", (size,))
            require_shape(tensors, "gamma", ())
            require_shape(tensors, "dual_coefficients", (labels, support_count))
        return cls(tensors, activation)

    def _decide(self, features: Features) -> Tensor:
        """Decision values (n, L), in float64."""
        given, parameters = tensor_of(features).double(), self.parameters
        if self.is_linear:
            return F.linear(given, parameters["weight"].double(), parameters["bias"].double())
        support, squares = self._support
        given = given * parameters["scale"].double()
        distances = (given.square().sum(dim=1, keepdim=True) + squares - 2 * given @ support.T).clamp(min=0)
        kernel = torch.exp(-parameters["gamma"].double() * distances)
        return F.linear(kernel, parameters["dual_coefficients"].double(), parameters["bias"].double())

    @cached_property
    def _support(self) -> tuple[Tensor, Tensor]:
        """The scaled support vectors (S, D) and their squared norms (S,), in float64."""
        support = self.parameters["support_vectors"].double() * self.parameters["scale"].double()
        return support, support.square().sum(dim=1)
