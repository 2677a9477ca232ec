"""What a head's kinds have in common."""

from typing import Literal, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import HeadError

Features = NDArray[np.float32]
Scores = NDArray[np.float64]
Tensors = dict[str, Tensor]

Activation = Literal["softmax", "sigmoid", "identity"]
"""What makes scores of logits: one label per image, any number of labels, or a number that is predicted."""

_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


class Scorer(Protocol):
    """Maps embeddings to scores. Its tensors are all that is stored of it."""

    @property
    def embedding_size(self) -> int:
        """Number of dimensions of an embedding, D."""

    @property
    def label_count(self) -> int:
        """Number of labels, L."""

    @property
    def has_negatives(self) -> bool:
        """Whether it can score each label by itself although its labels exclude each other."""

    @property
    def multiplications(self) -> int:
        """Multiplications per embedding, about; it is computed once."""

    def scores(self, features: Features, *, each_label_by_itself: bool) -> Scores:
        """Scores (n, L) of embeddings (n, D).

        Args:
            features: (n, D), unit norm.
            each_label_by_itself: True only if `has_negatives`: scores the presence of each label against its absence.
        """

    def tensors(self) -> Tensors:
        """All parameters by name, contiguous, on the CPU."""

    @classmethod
    def from_tensors(cls, tensors: Tensors, activation: Activation) -> Self:
        """The scorer with these parameters.

        Raises:
            HeadError: a tensor is missing or unknown, or has an unsuitable shape; the message names it.
        """


def activated(logits: Tensor, activation: Activation) -> Scores:
    """Scores (n, L) of logits (n, L), computed in float64."""
    logits = logits.double()
    if activation == "identity":
        scores = logits
    else:
        scores = logits.softmax(dim=-1) if activation == "softmax" else logits.sigmoid()
    values: Scores = scores.numpy()
    return values


def require_numbers(name: str, tensor: Tensor) -> None:
    """Raise HeadError unless a tensor has floating-point numbers that are finite in float32 too, which scorers use."""
    if tensor.dtype not in _FLOATS:
        raise HeadError(f"the tensor {name} must have the type float16, bfloat16, float32 or float64")
    if not torch.isfinite(tensor.float()).all():
        raise HeadError(f"the tensor {name} has values that are not finite numbers of float32")


def tensor_of(features: Features) -> Tensor:
    """The embeddings as a tensor; an array that cannot be written to is copied."""
    return torch.from_numpy(np.array(features, dtype=np.float32))


def require_names(tensors: Tensors, names: set[str], optional: frozenset[str] = frozenset()) -> None:
    """Raise HeadError if tensors are missing, or others than `names` and `optional` are there."""
    if missing := names - tensors.keys():
        raise HeadError(f"the tensor {min(missing)} is missing")
    if unknown := tensors.keys() - names - optional:
        raise HeadError(f"{len(unknown)} tensors are unknown to this kind of head")


def require_shape(tensors: Tensors, name: str, shape: tuple[int | None, ...]) -> None:
    """Raise HeadError if a tensor has another shape; None allows any size of at least 1."""
    found = tuple(tensors[name].shape)
    if len(found) != len(shape) or any(
        size < 1 or wanted not in (None, size) for size, wanted in zip(found, shape, strict=True)
    ):
        wanted_shape = ", ".join("any" if size is None else str(size) for size in shape)
        raise HeadError(f"the tensor {name} has the shape {list(found)}, but [{wanted_shape}] is needed")
