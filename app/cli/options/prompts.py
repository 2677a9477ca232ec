"""The flag --prompts of `evaluate`: a file, or a name of the label catalogue."""

import os
from pathlib import Path

import click


def _prompts_file(_context: click.Context, _parameter: click.Parameter, given: str | None) -> Path | None:
    if given is None or os.path.isfile(given):  # noqa: PTH113 (Path.is_file raises for a name that is too long)
        return None if given is None else Path(given)
    from model.heads.catalogue import catalogue_files

    files = catalogue_files()
    if given not in files:
        known = ", ".join(files)
        raise click.BadParameter(f"this is neither a file nor a name of the label catalogue, which has {known}")
    return files[given]


prompts = click.option(
    "--prompts",
    metavar="FILE",
    callback=_prompts_file,
    help="JSON, YAML or CSV file of label -> prompts, or a name of the label catalogue; without it, each label is its "
    "own prompt",
)
