"""A classifier on frozen embeddings, linear or with one hidden layer; weights as safetensors, facts as JSON."""

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
from model.evaluation.statistics.metrics import Floats

WEIGHTS_FILE, FACTS_FILE = "adapter.safetensors", "adapter.json"
FORMAT = 1
DROPOUT = 0.1

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Adapter:
    """A trained adapter.

    `thresholds` has, a label, `sensitivity_90` (the highest threshold with at least 90 % sensitivity) and `youden`
    (Youden's J), each with the sensitivity and specificity that it had on the validation rows, or null.
    """

    labels: tuple[str, ...]
    one_label: bool  # the labels exclude each other: softmax; otherwise a sigmoid for each
    sizes: tuple[int, ...]  # of the embedding, the hidden layer if there is one, and the labels
    layers: nn.Sequential
    thresholds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)  # whose embeddings it understands
    training: Mapping[str, Any] = field(default_factory=dict)

    def probabilities(self, features: Features) -> Floats:
        """(n, L) from embeddings (n, D).

        Raises:
            CheckpointError: the embeddings have another size.
        """
        if features.shape[-1] != self.sizes[0]:
            raise CheckpointError(f"the adapter takes embeddings of size {self.sizes[0]}, not {features.shape[-1]}")
        with torch.inference_mode():
            logits = self.layers.eval()(torch.from_numpy(np.array(features, dtype=np.float32))).double()
            chances = logits.softmax(dim=-1) if self.one_label else logits.sigmoid()
        values: Floats = chances.numpy()
        return values

    def save(self, folder: Path) -> None:
        """Write the adapter's two files into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: tensor.contiguous() for name, tensor in self.layers.state_dict().items()}, folder / WEIGHTS_FILE
        )
        facts = {
            "format": FORMAT,
            "labels": self.labels,
            "one_label_a_row": self.one_label,
            "sizes": self.sizes,
            "thresholds": self.thresholds,
            "model": self.model,
            "training": self.training,
        }
        (folder / FACTS_FILE).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def build_layers(sizes: tuple[int, ...]) -> nn.Sequential:
    """The layers of an adapter: linear for two sizes, an MLP for three."""
    if len(sizes) == 2:
        return nn.Sequential(nn.Linear(*sizes))
    return nn.Sequential(nn.Linear(sizes[0], sizes[1]), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(sizes[1], sizes[2]))


def load_adapter(folder: Path) -> Adapter:
    """Read an adapter from its folder.

    Raises:
        CheckpointError: a file is missing, or they do not fit together.
    """
    try:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        labels, sizes = tuple(map(str, facts["labels"])), tuple(map(int, facts["sizes"]))
        if facts["format"] != FORMAT or len(sizes) not in (2, 3) or sizes[-1] != len(labels) or min(sizes) < 1:
            raise CheckpointError(f"{folder / FACTS_FILE} is no adapter of format {FORMAT}")
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
        raise CheckpointError(f"no adapter in {folder}: {FACTS_FILE} and {WEIGHTS_FILE} are needed") from error
    except (ValueError, KeyError, TypeError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"the adapter in {folder} is damaged") from error
