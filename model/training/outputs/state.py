"""Saved state of a training, to resume from: last, averaged and best weights, the optimiser and the step.

All of it is one file that is replaced in one step, so what it holds always belongs together.
No state of a random number generator is saved. All random numbers of a step depend only on the seed and the step: its
draws, the changes of its images, and the dropped paths.
"""

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import AdamW

from model.encoders.medimageinsight import MedImageInsight
from model.errors import TrainingError
from model.output_file import write_file
from model.training.optimisation import MovingAverage
from model.training.outputs.log import Interval

STATE_FILE = "training_state.pt"

Weights = dict[str, Tensor]  # of the parameters that are not frozen, by their names


@dataclass
class Progress:
    """Progress of a training.

    Attributes:
        step: number of finished steps.
        best_step: step of the best validation so far.
        best_score: score of the best validation so far; higher is better.
        best_weights: weights of the best validation so far, on the CPU; None if they are not kept.
        unreadable_rows: numbers of the rows with an unreadable image, which other rows replaced.
        seconds: time of all finished steps, without validation and loading of images.
        interval: means over the steps since the last line of the log.
    """

    step: int = 0
    best_step: int = 0
    best_score: float = float("-inf")
    best_weights: Weights | None = None
    unreadable_rows: list[int] = field(default_factory=list)
    seconds: float = 0.0
    interval: Interval = field(default_factory=Interval)


def save_state(
    folder: Path,
    fingerprint: str,
    progress: Progress,
    model: MedImageInsight,
    average: MovingAverage | None,
    optimizer: AdamW,
    scaler: GradScaler | None,
) -> None:
    """Write the state. A killed process leaves a complete state, old or new.

    Raises:
        OutputError: the file cannot be written.
    """
    state = {
        "fingerprint": fingerprint,
        "progress": vars(progress) | {"interval": vars(progress.interval)},
        "model": trained_weights(model, model),
        "average": trained_weights(average.model, model) if average else None,
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict() if scaler else None,
    }

    def write(path: Path) -> None:
        with path.open("wb") as stream:
            torch.save(state, stream)

    write_file(folder / STATE_FILE, write)


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
    require_same(saved, fingerprint, folder)
    load_weights(state["model"], model)
    if average:
        load_weights(state["average"], average.model)
    optimizer.load_state_dict(state["optimizer"])
    if scaler:
        scaler.load_state_dict(state["scaler"])
    return Progress(**state["progress"] | {"interval": Interval(**state["progress"]["interval"])})


def require_same(saved: object, fingerprint: str, folder: Path) -> None:
    """Raise TrainingError if the saved fingerprint of the training in a folder is another one."""
    if saved != fingerprint:
        raise TrainingError(
            f"{folder} holds a training with other data or options; "
            "resume with the same data and options, or start a new training in another folder"
        )


def trained_weights(model: nn.Module, trained: nn.Module) -> Weights:
    """The weights of `model` for the parameters that are not frozen in `trained`."""
    names = [name for name, parameter in trained.named_parameters() if parameter.requires_grad]
    return {name: model.get_parameter(name).detach() for name in names}


@torch.no_grad()
def load_weights(weights: Weights, model: nn.Module) -> None:
    """Copy weights into the parameters of a model."""
    for name, tensor in weights.items():
        model.get_parameter(name).copy_(tensor)
