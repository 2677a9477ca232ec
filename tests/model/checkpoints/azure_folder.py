"""MLflow folders of Azure's classification models, and the arithmetic of their wrappers."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

HIDDEN_SIZE, WIDTH = 24, 512


def write_zero_shot_folder(folder: Path, release: Path, labels: Sequence[str]) -> Path:
    """Write the folder of a zero-shot classifier; the release is a link. Returns the folder."""
    checkpoints = _checkpoints(folder, release)
    (checkpoints / "config.json").write_text(json.dumps({"labels": list(labels)}))
    return folder


def write_adapter_folder(folder: Path, release: Path, labels: Sequence[str], embedding_size: int) -> Path:
    """Write the folder of an adapter with random weights; the release is a link. Returns the folder."""
    adapter = _checkpoints(folder, release) / "adapter_model"
    adapter.mkdir()
    facts = {"hidden_dim": HIDDEN_SIZE, "in_channels": embedding_size, "labels": list(labels)}
    (adapter / "config.json").write_text(json.dumps(facts))
    torch.save(adapter_state(embedding_size, len(labels)), adapter / "adapter_model.pth")
    return folder


def adapter_state(embedding_size: int, label_count: int) -> dict[str, Tensor]:
    """Tensors of the adapter by their names in Azure's file."""
    random = torch.Generator().manual_seed(0)
    weights = {
        "vision_embd.0": (WIDTH, embedding_size),
        "vision_embd.2": (WIDTH, WIDTH),
        "vision_embd.3": (WIDTH,),
        "retrieval_conv.0": (HIDDEN_SIZE, WIDTH, 3),
        "retrieval_conv.2": (HIDDEN_SIZE, HIDDEN_SIZE, 3),
        "prediction_head.0": (label_count, HIDDEN_SIZE),
    }
    state = {}
    for name, shape in weights.items():
        fan_in = np.prod(shape[1:])
        state[f"{name}.weight"] = torch.randn(*shape, generator=random) * fan_in**-0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=random) * 0.1
    return state


def adapter_probabilities(state: dict[str, Tensor], features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (n, labels) of embeddings (n, D), with the convolutions over a length of one."""

    def of(layer: str) -> tuple[Tensor, Tensor]:
        return state[f"{layer}.weight"], state[f"{layer}.bias"]

    values = F.gelu(F.linear(torch.from_numpy(features), *of("vision_embd.0")))
    values = F.layer_norm(F.linear(values, *of("vision_embd.2")), (WIDTH,), *of("vision_embd.3"))
    values = F.gelu(F.conv1d(values[:, :, None], *of("retrieval_conv.0"), padding=1))
    values = F.conv1d(values, *of("retrieval_conv.2"), padding=1)[:, :, 0]
    probabilities: NDArray[np.float32] = F.linear(values, *of("prediction_head.0")).softmax(1).numpy()
    return probabilities


def _checkpoints(folder: Path, release: Path) -> Path:
    checkpoints = folder / "artifacts" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors:\n  python_function: {}\n")
    (checkpoints / release.name).symlink_to(release, target_is_directory=True)
    return checkpoints
