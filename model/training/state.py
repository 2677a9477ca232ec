"""What a training needs to go on where it stopped: weights, their average, the optimiser and the step.

No random number generator is kept: the draws of a step, what happens to each of its images and the dropped paths are
functions of the seed and the step (see `model.training.batches.sampling`), so the step says it all.
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
    """How far a training is."""

    step: int = 0  # steps done
    best_step: int = 0
    best_score: float = float("-inf")
    unreadable_rows: list[int] = field(default_factory=list)  # whose image could not be read, where others stood in
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
    """Write the state beside the old one and put it in its place, so that a kill leaves one or the other whole."""
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
    """Put a saved state back into freshly built objects.

    Raises:
        TrainingError: the file is unreadable, or belongs to a training with other data or options.
    """
    try:
        state: dict[str, Any] = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
        saved = state["fingerprint"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{folder / STATE_FILE} cannot be read: train anew into another folder") from error
    if saved != fingerprint:
        raise TrainingError(
            f"{folder} holds a training with other data or options; "
            "resume with the same ones, or train anew into another folder"
        )
    _put_back(state["model"], model)
    if average:
        _put_back(state["average"], average.model)
    optimizer.load_state_dict(state["optimizer"])
    if scaler:
        scaler.load_state_dict(state["scaler"])
    return Progress(**state["progress"])


def _trained(model: nn.Module, marked: nn.Module) -> dict[str, torch.Tensor]:
    names = [name for name, parameter in marked.named_parameters() if parameter.requires_grad]
    return {name: model.get_parameter(name).detach() for name in names}


@torch.no_grad()
def _put_back(tensors: dict[str, torch.Tensor], model: nn.Module) -> None:
    for name, tensor in tensors.items():
        model.get_parameter(name).copy_(tensor)
