"""The command `info`: files and sizes of a model."""

import json
from typing import Any

import click

from app.cli.options.from_settings import read_settings, settings_options
from app.cli.options.shared import example


@click.command(
    short_help="Print the files and sizes of a model as JSON.",
    epilog=example("medimageinsight info", "medimageinsight info lion-ai/MedImageInsights"),
)
@click.argument("model", required=False)
@settings_options("cache_dir", "offline")
def info(model: str | None, **given: Any) -> None:
    """Print the files and sizes of MODEL as JSON, without loading it.

    MODEL is a release folder, a weights file, or a Hugging Face id. Without it, the variable MEDIMAGEINSIGHT_MODEL or
    MODEL names the model, or else it is the demonstration model.
    """
    from app.inference.model_loader import find_model
    from model.checkpoints.release_folder import find_release_folder
    from model.config import read_config

    release = find_release_folder(find_model(read_settings({"model": model, **given})))
    config = read_config(release.config)
    facts = {
        "name": release.name,
        "config": str(release.config),
        "weights": str(release.weights),
        "weights_bytes": release.weights.stat().st_size,
        "weights_sha256": release.weights_sha256(),
        "demonstration": release.is_demonstration,
        "tokenizer": str(release.tokenizer),
        "embedding_size": config.embedding_size,
        "image_encoder": vars(config.image),
        "text_encoder": vars(config.text),
    }
    click.echo(json.dumps(facts, indent=2))
