"""Options of an adapter's training; each field is also a flag of `medimageinsight adapter train`.

This module imports no torch, so that `--help` stays instant.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from model.options import flag

AdapterKind = Literal["linear", "mlp", "svm"]
Kernel = Literal["linear", "rbf"]

_LAYERS_OPTIONS = ("epochs", "patience", "batch_size", "learning_rate", "weight_decay")


@dataclass(frozen=True)
class AdapterOptions:
    """Options of an adapter's training, see `model.heads.adapter_training.train_adapter`."""

    kind: AdapterKind = field(
        default="linear",
        metadata=flag(
            "Linear layer, MLP with one hidden layer, or support vector machine", choices=("linear", "mlp", "svm")
        ),
    )
    hidden: int = field(default=512, metadata=flag("Units of the hidden layer of an MLP", least=1))
    kernel: Kernel = field(
        default="rbf", metadata=flag("Kernel of a support vector machine", choices=("linear", "rbf"))
    )
    svm_c: float = field(
        default=1.0, metadata=flag("C of a support vector machine; a smaller one regularises more", above=0)
    )
    gamma: float | None = field(
        default=None,
        metadata=flag(
            "Coefficient of the RBF kernel on standardised embeddings; without it, 1 / (dimensions × variance), as "
            "scikit-learn's scale",
            above=0,
        ),
    )
    epochs: int = field(
        default=200, metadata=flag("Largest number of passes; the best one on the validation rows is kept", least=1)
    )
    patience: int = field(
        default=20, metadata=flag("Passes without a lower validation loss after which the training stops", least=1)
    )
    batch_size: int = field(default=256, metadata=flag("Rows per step", least=1))
    learning_rate: float = field(default=1e-2, metadata=flag("Learning rate of AdamW", above=0))
    weight_decay: float = field(default=1e-4, metadata=flag("Weight decay of AdamW", least=0))
    seed: int = field(default=0, metadata=flag("Seed of all randomness"))

    def used(self, *, is_regression: bool = False) -> dict[str, Any]:
        """The options that the training reads, with their values.

        Args:
            is_regression: whether a number is predicted; default False: labels.
        """
        names: tuple[str, ...] = ()
        if self.kind == "mlp":
            names = ("hidden", *_LAYERS_OPTIONS)
        elif self.kind == "svm":
            names = ("kernel", "svm_c", *(("gamma",) if self.kernel == "rbf" else ()))
        elif not is_regression:
            names = _LAYERS_OPTIONS
        return {name: getattr(self, name) for name in ("kind", *names, "seed")}
