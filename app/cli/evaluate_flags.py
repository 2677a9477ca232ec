"""The flags of `medimageinsight evaluate` and `medimageinsight adapter`.

They name fields of `EvaluationOptions` and `AdapterOptions`, which are not imported here: --help would take seconds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

COMMAND = TypeVar("COMMAND", bound=Callable[..., Any])
TASKS = ("zero-shot", "knn", "linear-probe", "retrieval", "regression")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


def _commas(_context: click.Context, _parameter: click.Parameter, given: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in given.split(",") if part.strip())


def _tasks(context: click.Context, parameter: click.Parameter, given: str) -> tuple[str, ...]:
    tasks = _commas(context, parameter, given)
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is no task; there are {', '.join(TASKS)}")
    return tasks


_DATA = click.option(
    "--data", required=True, type=_FILE, help="CSV or Parquet: path, label and/or text, split, group, any others"
)
_LABELS = (
    click.option("--label-column", default="label", show_default=True, help="column of the labels, a|b for several"),
    click.option("--multi-label/--single-label", default=None, help="unset, it is found out from the labels"),
)
_HOW = (
    click.option("--plain", is_flag=True, help="skip the standardisation (512 pixels, JPEG) that the service does"),
    click.option("--no-cache", is_flag=True, help="neither read nor write embeddings in CACHE_DIR/embeddings"),
    click.option("--strict", is_flag=True, help="stop at a bad row instead of listing it"),
    click.option("--seed", default=0, show_default=True, help="of everything random"),
)
_EVALUATE = (
    _DATA,
    click.option("--train-data", type=_FILE, help="rows to learn from; without it, those of --data with split train"),
    click.option("--split", default="", help="of the rows that are judged  [default: test if there is one, else all]"),
    click.option("--out", required=True, type=_FOLDER, help="folder for report.json and report.html"),
    click.option("--tasks", default="", callback=_tasks, help=f"{','.join(TASKS)}  [default: all that the data allow]"),
    click.option("--prompts", type=_FILE, help="label -> prompts (JSON, YAML, CSV); without it labels are the prompts"),
    *_LABELS,
    click.option("--by", default="", callback=_commas, help="columns whose subgroups are compared: sex,age_band,site"),
    click.option("--target", default="", help="column of numbers that the regression predicts"),
    click.option("--neighbours", default=20, show_default=True, type=click.IntRange(1), help="of knn"),
    click.option("--samples", default=1000, show_default=True, type=click.IntRange(0), help="draws of the bootstrap"),
    *_HOW,
)
_TRAIN = (
    _DATA,
    click.option("--val", type=_FILE, help="the same, held out; without it split val, or a fifth of the groups"),
    click.option("--out", required=True, type=_FOLDER, help="folder for adapter.safetensors and adapter.json"),
    *_LABELS,
    click.option("--hidden", default=0, show_default=True, type=click.IntRange(0), help="hidden units; 0 is linear"),
    click.option("--epochs", default=200, show_default=True, type=click.IntRange(1), help="at most"),
    click.option("--batch-size", default=256, show_default=True, type=click.IntRange(1), help="rows a step"),
    click.option("--learning-rate", default=1e-2, show_default=True, help="of AdamW"),
    click.option("--weight-decay", default=1e-4, show_default=True, help="of AdamW"),
    *_HOW,
)
_APPLY = (
    click.argument("adapter", type=click.Path(exists=True, file_okay=False, path_type=Path)),
    click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)),
    click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="out.csv"),
    click.option("--no-cache", is_flag=True, help="neither read nor write embeddings in CACHE_DIR/embeddings"),
    click.option("--strict", is_flag=True, help="stop at an unreadable image instead of listing it"),
)


def evaluate_flags(command: COMMAND) -> COMMAND:
    """Give a command every flag of an evaluation."""
    return _with(_EVALUATE, command)


def adapter_train_flags(command: COMMAND) -> COMMAND:
    """Give a command every flag of an adapter's training."""
    return _with(_TRAIN, command)


def adapter_apply_flags(command: COMMAND) -> COMMAND:
    """Give a command every flag of an adapter's use."""
    return _with(_APPLY, command)


def _with(decorators: tuple[Any, ...], command: COMMAND) -> COMMAND:
    for decorate in reversed(decorators):
        command = decorate(command)
    return command
