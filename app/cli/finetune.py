"""The command `finetune`: a model trained on images with texts or labels."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from app.cli.options.from_dataclasses import dataclass_options, take_options
from app.cli.options.from_settings import settings_options, take_settings
from app.cli.options.preprocessing import preprocessing_options, take_preprocessing
from app.cli.options.shared import FILE, example, shown
from model.training.options import FinetuneOptions


@click.command(
    short_help="Fine-tune a model on images with texts or labels.",
    epilog=example(
        "medimageinsight finetune --data train.csv --val val.csv --out my-model/",
        "torchrun --no-python --nproc-per-node 8 medimageinsight finetune --data train.csv --out my-model/",
    ),
)
@settings_options("model")
@click.option(
    "--config",
    type=FILE,
    help="YAML file of the public fine-tuning notebook, such as train-gastrovision.yaml; other flags have priority "
    "over it",
)
@dataclass_options(FinetuneOptions)
@preprocessing_options
@settings_options("device", "threads", "cache_dir", "offline")
def finetune(config: Path | None, **given: Any) -> None:
    """Fine-tune a model with the UniCL objective, and write it as a release folder.

    The training skips the standardisation; its flags apply to the validation and to --classifier.

    Several processes share each batch if torchrun starts them. Bad rows are listed and left out; they change the exit
    status only with --strict.
    """
    from app.inference.model_loader import find_model
    from model.data.label_texts import read_label_texts
    from model.training.finetune import finetune as train

    settings = take_settings(given)
    label_texts = given.pop("label_texts")
    notes = _take_config(config, given) if config else []
    options = take_options(
        FinetuneOptions,
        given,
        model=find_model(settings),
        label_texts=read_label_texts(label_texts) if label_texts else {},
        preprocessing=take_preprocessing(given),
        device=settings.device,
        threads=settings.threads,
    )
    record = train(options, say=lambda line: click.echo(line, err=True), notes=notes)
    if record:  # only the first of several processes has one
        validation = record["last_validation"] or {}
        shown = "".join(f", {name} {value:.4f}" for name, value in validation.items() if name != "step")
        click.echo(f"{options.out}: {record['steps']} steps{shown}", err=True)


def _take_config(path: Path, given: dict[str, Any]) -> list[str]:
    """Put the values of a configuration into those of the flags that are not set. Returns a line for the user."""
    from app.cli.options.azure_config import read_azure_config

    source = click.get_current_context().get_parameter_source
    flags = {name for name in given if source(name) is ParameterSource.COMMANDLINE}
    config = read_azure_config(path, learning_rate=given["learning_rate"] if "learning_rate" in flags else None)
    given |= {name: value for name, value in config.options.items() if name not in flags}
    names = ", ".join(map(shown, config.unread))
    return [f"{path.name}: these names have no counterpart here and are not read: {names}"] if names else []
