"""What moves the weights: which parameters are trained and how fast, the schedule, and the moving average."""

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

MAX_LOGIT_SCALE = math.log(100)  # as in CLIP: a temperature of at least 0.01
_EMBEDDINGS = ("positional_embedding", "token_embedding.weight")


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Stop training the parameters whose released name matches one of these regular expressions (`re.search`).

    Raises:
        TrainingError: a pattern matches nothing, or nothing is left to train.
    """
    for name in _matching(model, patterns):
        model.get_parameter(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TrainingError("every parameter is frozen: nothing is left to train")


def decays(model: nn.Module) -> dict[str, bool]:
    """Whether weight decay applies, by parameter name: not to biases, norms, depth-wise convolutions, embeddings and
    `logit_scale`."""
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
    """AdamW (Loshchilov and Hutter 2019) over the parameters that are trained.

    Args:
        model: with frozen parameters marked, see `freeze`.
        learning_rate: at the schedule's peak.
        weight_decay: see `decays`.
        betas: of the moments' moving averages.
        learning_rates: regular expression over released names -> peak; the first that matches counts.

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
    """The share of the peak learning rate at a step (from 0): linear warm-up, then half a cosine down to `minimum`."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return minimum + (1 - minimum) * (1 + math.cos(math.pi * progress)) / 2


def set_learning_rate(optimizer: AdamW, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


@torch.no_grad()
def clamp_logit_scale(model: MedImageInsight) -> None:
    model.logit_scale.clamp_(0.0, MAX_LOGIT_SCALE)


class MovingAverage:
    """An exponential moving average of a model's trained weights, as a model of its own in eval mode.

    Early on the decay is (1 + step) / (10 + step), so that a short training is not dominated by its start.
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
                averages[name].data = parameter.data  # frozen: one copy is enough

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._trained, 1 - decay)


def _matching(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    names = {name: release_key(name) for name, _ in model.named_parameters()}
    found: list[str] = []
    for pattern in patterns:
        try:
            matches = [name for name, key in names.items() if re.search(pattern, key)]
        except re.error as error:
            raise TrainingError(f"the pattern {pattern!r} is no regular expression: {error}") from error
        if not matches:
            raise TrainingError(
                f"the pattern {pattern!r} matches no parameter; names are those of the released checkpoint, "
                "such as image_encoder.blocks.3 or lang_encoder"
            )
        found += matches
    return found
