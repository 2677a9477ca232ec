"""Optimiser: trained parameters, their learning rates and schedule, and the moving average of the weights."""

import copy
import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from model.checkpoints.checkpoint import release_key
from model.encoders.medimageinsight import MedImageInsight
from model.errors import TrainingError

MAX_LOGIT_SCALE = math.log(100)  # a temperature of at least 0.01, as in CLIP
_EMBEDDINGS = ("positional_embedding", "token_embedding.weight")


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Exclude parameters from the training.

    Args:
        model: model to change.
        patterns: regular expressions; a parameter is frozen if one of them is found in its name in the released
            checkpoint.

    Raises:
        TrainingError: a pattern matches nothing, or nothing is left to train.
    """
    for name in _matching(model, patterns):
        model.get_parameter(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TrainingError("every parameter is frozen, so nothing is left to train")


def decays(model: nn.Module) -> dict[str, bool]:
    """Whether weight decay applies, by parameter name.

    It does not apply to biases, norms, depth-wise convolutions, embeddings and `logit_scale`.
    """
    depthwise = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
    }
    return {
        name: parameter.ndim >= 2 and name not in depthwise and not name.endswith(_EMBEDDINGS)
        for name, parameter in model.named_parameters()
    }


def build_optimizer(
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    learning_rates: Mapping[str, float],
) -> AdamW:
    """AdamW (Loshchilov and Hutter 2019) for the parameters that are not frozen.

    Args:
        model: model, after `freeze`.
        learning_rate: peak learning rate.
        weight_decay: weight decay of the parameters that `decays` names.
        betas: decay rates of AdamW's two moving averages.
        learning_rates: regular expression over names in the released checkpoint -> peak learning rate; the first match
            counts.

    Raises:
        TrainingError: a pattern matches nothing.
    """
    peaks = {name: learning_rate for name, parameter in model.named_parameters() if parameter.requires_grad}
    for pattern, peak in reversed(list(learning_rates.items())):
        peaks |= {name: peak for name in _matching(model, [pattern]) if name in peaks}
    decayed = decays(model)
    members: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, peak in peaks.items():
        members.setdefault((peak, decayed[name]), []).append(model.get_parameter(name))
    groups = [
        {"params": parameters, "lr": peak, "peak": peak, "weight_decay": weight_decay if decay else 0.0}
        for (peak, decay), parameters in members.items()
    ]
    return AdamW(groups, betas=betas, fused=True)


def schedule(step: int, *, steps: int, warmup_steps: int, minimum: float) -> float:
    """The learning rate at a step, as a share of its peak: linear warm-up, then half a cosine.

    Args:
        step: number of the step, from 0.
        steps: number of steps of the training.
        warmup_steps: number of steps of the warm-up.
        minimum: share at the end of the cosine.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return minimum + (1 - minimum) * (1 + math.cos(math.pi * progress)) / 2


def set_learning_rate(optimizer: AdamW, share: float) -> None:
    """Set each group's learning rate to a share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


@torch.no_grad()
def clamp_logit_scale(model: MedImageInsight) -> None:
    """Clamp `logit_scale` to the range from 0 to `MAX_LOGIT_SCALE`, in place."""
    model.logit_scale.clamp_(0.0, MAX_LOGIT_SCALE)


class MovingAverage:
    """Exponential moving average of a model's trained weights, as a second model in eval mode.

    The decay of the first steps is (1 + step) / (10 + step), so that the initial weights do not dominate the average of
    a short training.

    Args:
        model: the model that is trained.
        decay: largest decay per step, at least 0 and below 1.
    """

    def __init__(self, model: MedImageInsight, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        averages = dict(self.model.named_parameters())
        self._trained: list[Tensor] = []
        self._averages: list[Tensor] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                self._trained.append(parameter)
                self._averages.append(averages[name])
            else:
                averages[name].data = parameter.data  # frozen weights are shared

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after a step, counted from 1, to the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._trained, 1 - decay)


def _matching(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    names = {name: release_key(name) for name, _ in model.named_parameters()}
    found: list[str] = []
    for pattern in patterns:
        try:
            matches = [name for name, key in names.items() if re.search(pattern, key)]
        except re.error as error:
            raise TrainingError(f"the pattern {pattern!r} is not a regular expression: {error}") from error
        if not matches:
            raise TrainingError(
                f"the pattern {pattern!r} matches no parameter; it must match names of the released checkpoint, "
                "such as image_encoder.blocks.3 or lang_encoder"
            )
        found += matches
    return found
