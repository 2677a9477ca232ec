"""Adapter: a trained classifier on embeddings, linear or with one hidden layer, stored as safetensors and JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from model.errors import CheckpointError
from model.output_file import open_folder, output_errors_named, write_file

WEIGHTS_FILE, FACTS_FILE = "adapter.safetensors", "adapter.json"
FORMAT = 1
DROPOUT = 0.1

Features = NDArray[np.float32]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Adapter:
    """A trained adapter.

    Attributes:
        labels: the labels, in the order of the scores.
        one_label: True if each image has exactly one label (softmax); False if it has any number (a sigmoid per label).
        sizes: size of the embedding, of the hidden layer if there is one, and number of labels.
        layers: the layers, from an embedding to one logit per label.
        thresholds: per label, `sensitivity_90` (highest threshold with a sensitivity of at least 90 %) and `youden`
            (the threshold that maximises Youden's J). Each has the sensitivity and specificity that it reached on the
            validation rows. None replaces a threshold that these rows do not define.
        model: name and checksum of the model whose embeddings the adapter takes.
        training: options and results of the training.
    """

    labels: tuple[str, ...]
    one_label: bool
    sizes: tuple[int, ...]
    layers: nn.Sequential
    thresholds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def probabilities(self, features: Features) -> Probabilities:
        """Probabilities (n, L) of the labels, from embeddings (n, D).

        Raises:
            CheckpointError: the embeddings have another size.
        """
        if features.shape[-1] != self.sizes[0]:
            raise CheckpointError(f"the adapter takes embeddings of size {self.sizes[0]}, not {features.shape[-1]}")
        with torch.inference_mode():
            logits = self.layers.eval()(torch.from_numpy(np.array(features, dtype=np.float32))).double()
            probabilities = logits.softmax(dim=-1) if self.one_label else logits.sigmoid()
        scores: Probabilities = probabilities.numpy()
        return scores

    def save(self, folder: Path) -> None:
        """Write the adapter's two files into a folder, which is created if it is missing.

        A killed process leaves the old adapter, the new one, or none that `load_adapter` accepts.

        Raises:
            OutputError: a file cannot be written.
        """
        tensors = {name: tensor.contiguous() for name, tensor in self.layers.state_dict().items()}
        facts = {
            "format": FORMAT,
            "labels": self.labels,
            "one_label_a_row": self.one_label,
            "sizes": self.sizes,
            "thresholds": self.thresholds,
            "model": self.model,
            "training": self.training,
        }
        text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
        open_folder(folder)
        with output_errors_named(folder / FACTS_FILE):
            (folder / FACTS_FILE).unlink(missing_ok=True)  # the facts of one adapter never lie beside another's weights
        write_file(folder / WEIGHTS_FILE, lambda path: save_file(tensors, path))
        write_file(folder / FACTS_FILE, lambda path: path.write_text(text, encoding="utf-8"))


def build_layers(sizes: tuple[int, ...]) -> nn.Sequential:
    """Make the layers of an adapter: one linear layer for two sizes, a hidden layer in between for three."""
    if len(sizes) == 2:
        return nn.Sequential(nn.Linear(*sizes))
    return nn.Sequential(nn.Linear(sizes[0], sizes[1]), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(sizes[1], sizes[2]))


def load_adapter(folder: Path) -> Adapter:
    """Read an adapter from its folder.

    Raises:
        CheckpointError: a file is missing or damaged, or the two files do not match.
    """
    try:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        labels, sizes = tuple(map(str, facts["labels"])), tuple(map(int, facts["sizes"]))
        if facts["format"] != FORMAT or len(sizes) not in (2, 3) or sizes[-1] != len(labels) or min(sizes) < 1:
            raise CheckpointError(f"{folder / FACTS_FILE} is not an adapter of format {FORMAT}")
        layers = build_layers(sizes)
        layers.load_state_dict(load_file(folder / WEIGHTS_FILE))
        return Adapter(
            labels,
            bool(facts["one_label_a_row"]),
            sizes,
            layers,
            facts["thresholds"],
            facts["model"],
            facts["training"],
        )
    except OSError as error:
        raise CheckpointError(f"{folder} has no adapter: {FACTS_FILE} and {WEIGHTS_FILE} are needed") from error
    except (ValueError, KeyError, TypeError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"the adapter in {folder} is damaged") from error
