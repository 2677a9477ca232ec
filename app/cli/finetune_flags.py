"""The flags of `medimageinsight finetune`.

They name the fields of `FinetuneOptions`, which is not imported here: torch would be, and --help would take seconds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

COMMAND = TypeVar("COMMAND", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

# field of FinetuneOptions (or of Augmentation), type, help; unset flags leave the field's default
_VALUES: tuple[tuple[str, Any, str], ...] = (
    ("data", _FILE, "CSV or Parquet file with the column path, text and/or label, and any others (split, group, ...)"),
    ("val", _FILE, "the same, held out; without it, the rows of --data whose split is val"),
    ("image_tsv", _FILE, "instead of --data: lines of name<TAB>base64, as the public fine-tuning notebook writes them"),
    ("text_tsv", _FILE, "and lines of name<TAB>JSON"),
    ("val_image_tsv", _FILE, "the same pair, held out"),
    ("val_text_tsv", _FILE, "the same pair, held out"),
    ("label_file", _FILE, "class names, one a line, that the TSV files' class ids count from 0"),
    ("label_texts", _FILE, "JSON or YAML file of label -> wordings, one of which is drawn for each image and step"),
    ("sample_by", str, "column whose values (sources, labels, ...) get shares of every batch; see --share"),
    ("cache_pixels", int, "keep decoded images in memory, their longest side at most this; 0 keeps none  [default: 0]"),
    ("workers", int, "processes that load images; 0 loads them in the training process  [default: 0]"),
    ("crop_area", float, "the smallest part of an image that a random crop keeps  [default: 0.8]"),
    ("erase", float, "probability of a rectangle being erased  [default: 0.25]"),
    ("horizontal_flip", float, "probability; the side of a finding is lost by it  [default: 0]"),
    ("vertical_flip", float, "probability  [default: 0]"),
    ("batch_size", int, "images that are compared with each other, over all processes  [default: 64]"),
    ("chunk_size", int, "images that go through the encoder at once; 0 takes the whole batch  [default: 0]"),
    ("epochs", float, "passes through the training rows  [default: 10]"),
    ("steps", int, "batches, instead of --epochs"),
    ("learning_rate", float, "at its peak  [default: 1e-5]"),
    ("min_learning_rate", float, "at the end of the cosine, as a share of the peak  [default: 0]"),
    ("warmup_steps", int, "steps of linear warm-up  [default: 5]"),
    ("weight_decay", float, "of matrices only  [default: 0.2]"),
    ("gradient_clip", float, "the gradient's largest norm; 0 clips nothing  [default: 1]"),
    (
        "ema",
        float,
        "decay of the moving average that is judged and saved; 0 saves the last weights  [default: 0.999]",
    ),
    ("drop_path", float, "rate of dropped blocks  [default: config.yaml's]"),
    ("mixed_precision", click.Choice(("auto", "bfloat16", "float16", "off")), "auto is on with CUDA  [default: auto]"),
    ("seed", int, "of everything random  [default: 0]"),
    ("eval_every", int, "steps between validations; 0 is once an epoch  [default: 0]"),
    ("save_every", int, "steps between states that --resume goes on from; 0 is once an epoch  [default: 0]"),
    ("log_every", int, "steps between lines of metrics.jsonl  [default: 10]"),
)
_PAIRS = (
    ("shares", "--share", "VALUE=SHARE", "share of a batch for one value of --sample-by's column"),
    ("learning_rates", "--learning-rate-for", "PATTERN=RATE", "peak for parameters whose released name matches"),
    ("extra", "--extra", "NAME=PROBABILITY", "also rotate, rescale, blur, noise, jpeg, window, invert or gray images"),
)
_SWITCHES = (
    ("strict", "a bad row ends the training instead of being listed and left out"),
    ("keep_graphs", "with --chunk-size: keep every chunk's graph instead of encoding it twice"),
    ("gradient_checkpointing", "less memory, a third more time"),
    ("no_trivial_augment", "no TrivialAugmentWide"),
    ("keep_best", "save the weights with the best validation instead of the last"),
    ("resume", "go on with the training that --out holds, if it holds one"),
    ("no_tensorboard", "write no TensorBoard events"),
)


def finetune_flags(command: COMMAND) -> COMMAND:
    """Give a command every flag of a fine-tuning."""
    for name, text in reversed(_SWITCHES):
        command = click.option(_flag(name), name, is_flag=True, help=text)(command)
    command = click.option(
        "--freeze", multiple=True, metavar="PATTERN", help="train no parameter whose released name matches; repeatable"
    )(command)
    for name, flag, metavar, text in reversed(_PAIRS):
        command = click.option(flag, name, multiple=True, metavar=metavar, callback=_pairs, help=f"{text}; repeatable")(
            command
        )
    for name, kind, text in reversed(_VALUES):
        command = click.option(_flag(name), name, type=kind, default=None, help=text)(command)
    return click.option("--out", required=True, type=click.Path(path_type=Path), help="release folder to write")(
        command
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _pairs(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    pairs = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            pairs[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise click.BadParameter(f"{text!r} is not of the form NAME=NUMBER")
    return pairs
