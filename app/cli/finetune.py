"""The command `finetune`: a model trained on images with texts or labels."""

from typing import Any

import click

from app.cli.options import dataclass_options, example, settings_options, take_options, take_settings
from model.training.options import FinetuneOptions


@click.command(
    epilog=example(
        "medimageinsight finetune --model lion-ai/MedImageInsights --data train.csv --val val.csv --out my-model",
        "torchrun --no-python --nproc-per-node 8 medimageinsight finetune --data train.csv --out my-model",
    )
)
@settings_options("model")
@dataclass_options(FinetuneOptions)
@settings_options("device", "threads", "cache_dir", "offline")
def finetune(**given: Any) -> None:
    """Fine-tune a model with the UniCL objective, and write it as a release folder.

    Several processes share each batch if torchrun starts them. Bad rows are listed and left out; they change the exit
    status only with --strict.
    """
    from app.inference.model_loader import find_model
    from model.data.label_texts import read_label_texts
    from model.training.finetune import finetune as train

    settings = take_settings(given)
    label_texts = given.pop("label_texts")
    options = take_options(
        FinetuneOptions,
        given,
        model=find_model(settings),
        label_texts=read_label_texts(label_texts) if label_texts else {},
        device=settings.device,
        threads=settings.threads,
    )
    record = train(options, say=lambda line: click.echo(line, err=True))
    if record:  # only the first of several processes has one
        validation = record["last_validation"] or {}
        shown = "".join(f", {name} {value:.4f}" for name, value in validation.items() if name != "step")
        click.echo(f"{options.out}: {record['steps']} steps{shown}", err=True)
