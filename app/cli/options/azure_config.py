"""Training configurations of Azure: the YAML file that Microsoft's notebook `mi2-finetuning.ipynb` gives its pipeline.

What this project has too becomes options of a fine-tuning. Another objective, optimiser or schedule is refused.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from model.data.text_lines import read_yaml
from model.errors import TrainingError
from model.options import flag_of
from model.training.options import AugmentationOptions, FinetuneOptions

_FIELDS = {field.name: field for field in (*fields(FinetuneOptions), *fields(AugmentationOptions))}
_PEAK = "START_LEARNING_RATE"
# The notebook's patterns leave out the name of the image encoder.
_PATTERN_OF_IMAGE_ENCODER = re.compile(r"^\^(?=convs|blocks)")


@dataclass(frozen=True)
class AzureConfig:
    """What a configuration says.

    Attributes:
        options: value per field of `FinetuneOptions` or of its `AugmentationOptions`.
        unread: names without a counterpart here, in the order of the file; a section without known names as a whole.
    """

    options: Mapping[str, Any]
    unread: tuple[str, ...]


class _Wrong(Exception):
    """A value cannot be used; the message says what it must be."""


def read_azure_config(path: Path, *, learning_rate: float | None = None) -> AzureConfig:
    """Read a configuration. A name without a value says nothing.

    Args:
        path: the YAML file.
        learning_rate: peak learning rate that replaces the file's; its relative rates then refer to this one.

    Raises:
        ManifestError: the file cannot be read as YAML.
        TrainingError: a value cannot be used; the message has its name in the file.
    """
    document = read_yaml(path)
    if not isinstance(document, Mapping):
        raise TrainingError(f"{path} must map names to values, as the YAML file of the fine-tuning notebook does")
    options: dict[str, Any] = {}
    name = _PEAK
    try:
        peak = learning_rate or _number("learning_rate", document.get(_PEAK) or _FIELDS["learning_rate"].default)
        readers = _READERS | {name: partial(reader, peak) for name, reader in _READERS_OF_RATES.items()}
        unread = []
        for name, value in _names_below("", document):
            if name not in readers:
                unread.append(name)
            elif value is not None:
                options |= readers[name](value)
    except _Wrong as wrong:
        raise TrainingError(f"{path}: {name} must be {wrong}") from wrong
    return AzureConfig(options, tuple(unread))


def _names_below(section: str, values: Any) -> Iterator[tuple[str, Any]]:
    """Full names with their values; a section without known names is one name."""
    for key, value in values.items():
        name = f"{section}{key}"
        if isinstance(value, Mapping) and any(known.startswith(f"{name}.") for known in _KNOWN):
            yield from _names_below(f"{name}.", value)
        else:
            yield name, value


def _number(field: str, value: Any) -> float:
    """A number in the bounds of an option's field; YAML 1.1 takes 1e-5 for a text."""
    whole = _FIELDS[field].type is int
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (whole and number != int(number)):
        raise _Wrong("a whole number" if whole else "a number")
    declared = flag_of(_FIELDS[field].metadata)
    if declared and (needed := declared.problem(number)):
        raise _Wrong(needed)
    return int(number) if whole else number


def _as_number(field: str, value: Any) -> dict[str, Any]:
    return {field: _number(field, value)}


def _as_switch(field: str, values: Mapping[bool, Any], value: Any) -> dict[str, Any]:
    if not isinstance(value, bool):
        raise _Wrong("true or false")
    return {field: values[value]}


def _only(allowed: Any, value: Any) -> dict[str, Any]:
    """No option, because only this value is implemented here."""
    if value != allowed:
        raise _Wrong(f"{allowed}, because nothing else is implemented here")
    return {}


def _crop_area(value: Any) -> dict[str, Any]:
    match value:
        case [smallest, 1]:
            return _as_number("crop_area", smallest)
    raise _Wrong("a list of the smallest share of the area and 1.0")


def _crop_ratio(value: Any) -> dict[str, Any]:
    match value:
        case [float() | int() as smallest, float() | int() as largest] if math.isclose(
            smallest * largest, 1, rel_tol=1e-3
        ):
            return _as_number("crop_ratio", largest)
    raise _Wrong("a list of two numbers of which one is 1 divided by the other")


def _trivial_augment(value: Any) -> dict[str, Any]:
    if value not in ("", "ta_wide"):
        raise _Wrong("ta_wide, or empty for no such changes")
    return {"trivial_augment": value == "ta_wide"}


def _betas(value: Any) -> dict[str, Any]:
    match value:
        case [float() as first, float() as second] if 0 <= first < 1 and 0 <= second < 1:
            return {"betas": (first, second)}
    raise _Wrong("a list of two numbers of at least 0 and below 1")


def _freeze(value: Any) -> dict[str, Any]:
    if not isinstance(value, list):
        raise _Wrong("a list of regular expressions")
    return {"freeze": tuple(map(_pattern, value))}


def _pattern(value: Any) -> str:
    try:
        re.compile(value)
    except (TypeError, re.error):
        raise _Wrong("valid regular expressions") from None
    return _PATTERN_OF_IMAGE_ENCODER.sub(r"^image_encoder\.", str(value))


def _min_learning_rate(peak: float, value: Any) -> dict[str, Any]:
    lowest = _number("learning_rate", value) if value else 0.0
    if lowest > peak:
        raise _Wrong(f"at most the peak learning rate, {peak:g}")
    return {"min_learning_rate": lowest / peak}


def _learning_rates(peak: float, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _Wrong("regular expressions with a factor each")
    factors = {_pattern(key): _number("weight_decay", factor) for key, factor in value.items()}  # at least 0, as it
    return {"learning_rates": {pattern: peak * factor for pattern, factor in factors.items()}}


_Reader = Callable[[Any], dict[str, Any]]
_READERS: dict[str, _Reader] = {
    **{
        name: partial(_as_number, field)
        for name, field in {
            "LOG_EVERY": "log_every",
            "SAVE_PER_OPTIM_STEPS": "save_every",
            "EVAL_PER_OPTIM_STEPS": "eval_every",
            "GRAD_CLIPPING": "gradient_clip",
            "WORKERS": "workers",
            _PEAK: "learning_rate",
            "MAX_NUM_EPOCHS": "epochs",
            "IMAGE_ENCODER.SPEC.DROP_PATH_RATE": "drop_path",
            "AUG.TORCHVISION_AUG.RE_PROB": "erase",
            "AUG.TORCHVISION_AUG.HFLIP": "horizontal_flip",
            "AUG.TORCHVISION_AUG.VFLIP": "vertical_flip",
            "TRAIN.BATCH_SIZE_TOTAL": "batch_size",
            "TRAIN.BATCH_SIZE_PER_GPU": "chunk_size",
            "WEIGHT_SMOOTHING.decay": "ema",
            "OPTIMIZER_PARAMS.weight_decay": "weight_decay",
            "LR_SCHEDULER_PARAMS.warmup_steps": "warmup_steps",
        }.items()
    },
    "RESUME": partial(_as_switch, "resume", {True: True, False: False}),
    "FP16": partial(_as_switch, "mixed_precision", {True: "auto", False: "off"}),
    "IMAGE_ENCODER.SPEC.ENABLE_CHECKPOINT": partial(_as_switch, "gradient_checkpointing", {True: True, False: False}),
    "AUG.SCALE": _crop_area,
    "AUG.RATIO": _crop_ratio,
    "AUG.TORCHVISION_AUG.AUTO_AUGMENT": _trivial_augment,
    "OPTIMIZER_PARAMS.betas": _betas,
    "CUSTOMIZED_PARAMS_CONF.FREEZE_PATTERNS": _freeze,
    **{
        name: partial(_only, value)
        for name, value in {
            "TASK": "UniCLTask",
            "LOSS.LOSS": "UniCL",
            "OPTIMIZER": "AdamW",
            "LR_SCHEDULER_PARAMS.sched": "cosine",
            "AUG.MIXUP_PROB": 0,
        }.items()
    },
}
_READERS_OF_RATES: dict[str, Callable[[float, Any], dict[str, Any]]] = {  # of the peak learning rate and the value
    "LR_SCHEDULER_PARAMS.min_lr": _min_learning_rate,
    "CUSTOMIZED_PARAMS_CONF.LR_SCALE_PATTERNS": _learning_rates,
}
_KNOWN = (*_READERS, *_READERS_OF_RATES)
