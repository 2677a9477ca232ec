"""Options of an adapter's training; each field is also a flag of `medimageinsight adapter train`.

This module imports no torch, so that `--help` stays instant.
"""

from dataclasses import dataclass, field

from model.options import flag


@dataclass(frozen=True)
class AdapterOptions:
    """Options of an adapter's training, see `model.heads.adapter_training.train_adapter`."""

    hidden: int = field(default=0, metadata=flag("Units of the hidden layer; 0 trains a linear adapter", least=0))
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
