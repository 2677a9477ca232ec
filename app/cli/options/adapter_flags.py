"""Flags of `adapter train` that have no effect together with others."""

from dataclasses import fields, replace
from typing import get_args

import click
from click.core import ParameterSource

from model.heads.options import AdapterKind, AdapterOptions

_WITH_EMBEDDINGS = (
    "data",
    "val",
    "embeddings",
    "out",
    "overwrite",
    "as_json",
    "label_column",
    "multi_label",
    "target",
    "strict",
)


def check_adapter_flags(
    context: click.Context, options: AdapterOptions, *, is_regression: bool, from_file: bool
) -> None:
    """Raise UsageError if a flag is given that the training does not read; the sentence names it.

    Args:
        context: context of the command.
        options: options of the training.
        is_regression: whether a number is predicted, instead of labels.
        from_file: whether the embeddings are read from a file.
    """
    typed = {
        parameter.name: "/".join((*parameter.opts, *parameter.secondary_opts))
        for parameter in context.command.params
        if parameter.name and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }
    if is_regression and options.kind == "svm":
        raise click.UsageError("--kind svm predicts labels, not numbers: use --kind linear or mlp with --target")
    row_files = (context.params["data"], context.params["val"])
    if from_file and any(file and file.suffix.lower() == ".jsonl" for file in row_files):
        raise click.UsageError("--embeddings needs a file with the column path, which a JSONL file does not have")
    own_fields = [field.name for field in fields(AdapterOptions)]
    for name, flag in typed.items():
        if is_regression and name in ("label_column", "multi_label"):
            raise click.UsageError(f"{flag} is about labels, but --target predicts a number: leave one of them out")
        if name in own_fields and name not in options.used(is_regression=is_regression):
            others = [replace(options, kind=kind) for kind in get_args(AdapterKind)]
            kinds = [other.kind for other in others if name in other.used(is_regression=is_regression)]
            kind = f"--kind {options.kind}{' --kernel linear' if name == 'gamma' and not kinds else ''}"
            hint = f"it belongs to --kind {' or '.join(kinds)}" if kinds else "leave it out"
            raise click.UsageError(f"{flag} has no effect with {kind}{' --target' if is_regression else ''}; {hint}")
        if from_file and name not in (*own_fields, *_WITH_EMBEDDINGS):
            raise click.UsageError(f"--embeddings takes vectors that are already computed: leave out {flag}")
