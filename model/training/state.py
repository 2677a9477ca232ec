"""Saved state of a training, to resume from: weights, their moving average, the optimiser and the step.

No state of a random number generator is saved. All random numbers of a step depend only on the seed and the step: its
draws, the changes of its images, and the dropped paths.
"""

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import AdamW

from model.encoders.medimageinsight import MedImageInsight
from model.errors import TrainingError
from model.training.optimisation import MovingAverage

STATE_FILE = "training_state.pt"


@dataclass
class Progress:
    """Progress of a training.

    Attributes:
        step: number of finished steps.
        best_step: step of the best validation so far.
        best_score: score of the best validation so far; higher is better.
        unreadable_rows: numbers of the rows with an unreadable image, which other rows replaced.
        seconds: time of all finished steps, without validation and loading of images.
    """

    step: int = 0
    best_step: int = 0
    best_score: float = float("-inf")
    unreadable_rows: list[int] = field(default_factory=list)
    seconds: float = 0.0


def save_state(
    folder: Path,
    fingerprint: str,
    progress: Progress,
    model: MedImageInsight,
    average: MovingAverage | None,
    optimizer: AdamW,
    scaler: GradScaler | None,
) -> None:
    """Write the state to a new file, then rename it. So a killed process leaves a complete state, old or new."""
    state = {
        "fingerprint": fingerprint,
        "progress": vars(progress),
        "model": _trained(model, model),
        "average": _trained(average.model, model) if average else None,
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict() if scaler else None,
    }
    partial = folder / f"{STATE_FILE}.partial"
    with partial.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(folder / STATE_FILE)


def load_state(
    folder: Path,
    fingerprint: str,
    model: MedImageInsight,
    average: MovingAverage | None,
    optimizer: AdamW,
    scaler: GradScaler | None,
) -> Progress:
    """Load a saved state into new objects.

    Raises:
        TrainingError: the file is unreadable, or belongs to a training with other data or options.
    """
    try:
        state: dict[str, Any] = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
        saved = state["fingerprint"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{folder / STATE_FILE} cannot be read; start a new training in another folder") from error
    if saved != fingerprint:
        raise TrainingError(
            f"{folder} holds a training with other data or options; "
            "resume with the same data and options, or start a new training in another folder"
        )
    _load_weights(state["model"], model)
    if average:
        _load_weights(state["average"], average.model)
    optimizer.load_state_dict(state["optimizer"])
    if scaler:
        scaler.load_state_dict(state["scaler"])
    return Progress(**state["progress"])


def _trained(model: nn.Module, trained: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of `model` for the parameters that are not frozen in `trained`."""
    names = [name for name, parameter in trained.named_parameters() if parameter.requires_grad]
    return {name: model.get_parameter(name).detach() for name in names}


@torch.no_grad()
def _load_weights(tensors: dict[str, torch.Tensor], model: nn.Module) -> None:
    for name, tensor in tensors.items():
        model.get_parameter(name).copy_(tensor)
