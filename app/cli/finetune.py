"""What `medimageinsight finetune` does."""

from typing import Any

import click

from app.inference.model_loader import find_model
from app.settings import Settings
from model.data.manifest import read_label_texts
from model.training.finetune import finetune
from model.training.options import AugmentationOptions, FinetuneOptions

_AUGMENTATION = ("extra", "erase", "horizontal_flip", "vertical_flip")


def run_finetune(flags: dict[str, Any], settings: Settings) -> None:
    """Fine-tune the model that the settings name.

    Raises:
        MedImageInsightError: see `model.training.finetune.finetune`.
    """
    record = finetune(_options(flags, settings), say=lambda line: click.echo(line, err=True))
    if record:  # only the first of several processes has one
        validation = record["last_validation"] or {}
        shown = "".join(f", {name} {value:.4f}" for name, value in validation.items() if name != "step")
        click.echo(f"{flags['out']}: {record['steps']} steps{shown}", err=True)


def _options(flags: dict[str, Any], settings: Settings) -> FinetuneOptions:
    given = {name: value for name, value in flags.items() if value is not None}
    varied: dict[str, Any] = {name: given.pop(name) for name in _AUGMENTATION if name in given}
    if "crop_area" in given:
        varied["crop_area"] = given.pop("crop_area")
    if given.pop("no_trivial_augment", False):
        varied["trivial_augment"] = False
    if "label_texts" in given:
        given["label_texts"] = read_label_texts(given["label_texts"])
    return FinetuneOptions(
        model=find_model(settings),
        augmentation=AugmentationOptions(**varied),
        recompute=not given.pop("keep_graphs", False),
        tensorboard=not given.pop("no_tensorboard", False),
        device=settings.device,
        threads=settings.threads,
        **given,
    )
