"""Reading of several heads, each of which must fit the model whose embeddings it gets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from model.errors import HeadError
from model.heads.head import Head
from model.heads.head_folder import load_head


class HashedModel(Protocol):
    """A model with its name and the hash of its weights: a release folder, or the model of a command."""

    @property
    def name(self) -> str:
        """Name of the model's release folder."""

    def weights_sha256(self) -> str:
        """Hexadecimal SHA-256 of the weights; takes about a second per GB."""


def load_heads(folders: Sequence[Path], model: HashedModel, embedding_size: int, *, max_labels: int) -> dict[str, Head]:
    """Read heads, and check that they fit a model.

    Args:
        folders: the folders of the heads; a head has the name of its folder.
        model: the model; its weights are read for their hash if there are heads.
        embedding_size: number of dimensions of the model's embeddings.
        max_labels: largest number of labels of a head.

    Returns:
        The heads by name, in the order of their folders.

    Raises:
        HeadError: a folder has no readable head, two heads have the same name, or a head has too many labels or was
            made for another model; the message names the head.
    """
    heads: dict[str, Head] = {}
    for folder in folders:
        name = folder.absolute().name
        if name in heads:
            raise HeadError(f"two heads have the name {name}: rename one of their folders")
        heads[name] = load_head(folder)
    weights_sha256 = model.weights_sha256() if heads else ""
    for name, head in heads.items():
        if len(head.labels) > max_labels:
            raise HeadError(
                f"the head {name} has {len(head.labels):,} labels, but MAX_LABELS is {max_labels:,}; raise it, or use "
                "fewer"
            )
        try:
            head.check_model(model.name, weights_sha256)
        except HeadError as error:
            raise HeadError(f"the head {name} cannot be used: {error}") from error
        if head.scorer.embedding_size != embedding_size:
            raise HeadError(
                f"the head {name} takes embeddings of {head.scorer.embedding_size} numbers, but those of "
                f"{model.name} have {embedding_size}; make it again with this model"
            )
    return heads
