"""The command `classify`: labels of images, by ad-hoc texts or by heads."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.options.from_settings import settings_options, take_settings
from app.cli.options.preprocessing import preprocessing_options, take_preprocessing
from app.cli.options.shared import (
    api_key,
    example,
    labels,
    no_cache,
    require_folder_of,
    require_pyarrow_for,
    server,
    strict_images,
    template,
    verbose,
)
from model.errors import HeadError

if TYPE_CHECKING:
    from app.cli.embedders.embedding_model import EmbeddingModel
    from app.cli.predictions.prediction import Predictions
    from model.heads.head import Head
    from model.imaging.preprocessing import Preprocessing
    from model.output_file import OutputFile

AD_HOC = "labels"  # name of the head that --label makes
LABELS_IN_TABLE = 1  # per image and head, without --top-k


@click.command(
    short_help="Classify images by labels or heads.",
    epilog=example(
        'medimageinsight classify scans/ --label "x-ray chest pneumonia" --label "x-ray chest no finding"',
        "medimageinsight classify scans/ test.csv --head chest/ --head adapter/ -o predictions.csv",
    ),
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@labels
@click.option(
    "--head",
    "heads",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a head that classifies, with its own preprocessing; repeatable",
)
@template
@click.option(
    "--multi-label",
    is_flag=True,
    help="Score each label by itself, against the texts for its absence; otherwise as the head was made",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="INTEGER",
    help="Number of labels per image and head, best first; otherwise all in a file, and one on the terminal",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .csv or .parquet; without it, a table is shown",
)
@preprocessing_options
@no_cache
@strict_images
@verbose
@server
@api_key
@settings_options(
    "model",
    "device",
    "dtype",
    "threads",
    "decode_threads",
    "max_batch_size",
    "max_image_pixels",
    "max_labels",
    "cache_dir",
    "offline",
)
def classify(
    paths: tuple[Path, ...],
    labels: tuple[str, ...],
    heads: tuple[Path, ...],
    template: str,
    output: Path | None,
    multi_label: bool,
    top_k: int | None,
    strict: bool,
    verbose: bool,
    **given: Any,
) -> None:
    """Classify image files, folders of them, and the images of CSV, TSV or Parquet files with a column path.

    Labels are texts (--label), or come from heads (--head), see head make and adapter train. The file has one line per
    image, head and label. Images are found in folders by their content, whatever their names are.

    The exit status is 1 if an image cannot be read (the others are classified), or if there is none.
    """
    if not labels and not heads:
        raise click.UsageError("name labels (--label), or a head (--head)")
    if labels and multi_label:
        raise click.UsageError(
            "--multi-label needs texts for the absence of each label, which --label cannot give; "
            "make a head with head make --prompts, or leave --multi-label out"
        )
    _require_output(output)
    settings, preprocessing = take_settings(given), take_preprocessing(given)
    if not labels:
        _require_unused(template, preprocessing)
    from app.cli.embedders.embedding_model import open_embedder
    from app.cli.inputs import EXIT_SOME_FAILED, list_left_out, read_images, require_embedded
    from app.cli.predictions.prediction import predict
    from model.output_file import OutputFile

    images, failed = read_images(paths, verbose=verbose, strict=strict)
    with ExitStack() as stack:
        file = stack.enter_context(OutputFile(output)) if output else None
        model = stack.enter_context(open_embedder(settings, preprocessing=preprocessing, **given))
        by_name = _heads_by_name(model, heads, labels, template, preprocessing, settings.max_labels)
        kept = top_k if output or top_k else LABELS_IN_TABLE
        found = predict(model.embedder, images, by_name, multi_label=multi_label or None, top_k=kept, strict=strict)
        list_left_out((images[position].path, reason) for position, reason in found.problems)
        failed += len({position for position, _ in found.problems})
        require_embedded(found.positions, failed)
        _write(found, file)
    place = f"{output}: " if output else ""
    click.echo(f"{place}{len(found.positions)} images{f', {failed} left out' if failed else ''}", err=True)
    if failed:
        sys.exit(EXIT_SOME_FAILED)


def _require_output(output: Path | None) -> None:
    """Raise an error if the name of the output says that it cannot be written."""
    if output is None:
        return
    if output.suffix not in (".csv", ".parquet"):
        raise click.UsageError("--output must end in .csv or .parquet")
    require_folder_of(output)
    require_pyarrow_for(output)


def _require_unused(template: str, preprocessing: "Preprocessing") -> None:
    """Raise UsageError if a flag is given that only changes what --label does."""
    from model.heads.zero_shot import PLAIN_TEMPLATE
    from model.imaging.preprocessing import Preprocessing

    if template != PLAIN_TEMPLATE:
        raise click.UsageError("--template belongs to --label: a head has its texts already")
    if preprocessing != Preprocessing():
        raise click.UsageError("flags of the preprocessing belong to --label: a head has its own preprocessing")


def _heads_by_name(
    model: "EmbeddingModel",
    folders: tuple[Path, ...],
    labels: tuple[str, ...],
    template: str,
    preprocessing: "Preprocessing",
    max_labels: int,
) -> "dict[str, Head]":
    """The head of the ad-hoc labels, if there are any, and the heads of the folders."""
    from model.evaluation.prompts import as_prompts
    from model.heads.served_heads import load_heads
    from model.heads.zero_shot import make_zero_shot_head, require_labels

    by_name = load_heads(folders, model, model.embedding_size, max_labels=max_labels)
    if not labels:
        return by_name
    if AD_HOC in by_name:
        raise HeadError(f"the head of --label has the name {AD_HOC}; rename the folder that has it too")
    require_labels(labels, max_labels)
    prompts = as_prompts({label: label for label in labels})
    facts = {"name": model.name}  # the hash is only needed in a file
    head = make_zero_shot_head(model.embedder, prompts, template=template, model=facts, preprocessing=preprocessing)
    return {AD_HOC: head, **by_name}


def _write(found: "Predictions", file: "OutputFile | None") -> None:
    """Write the predictions to the file; without one, show them as a table."""
    from app.cli.predictions.files import write_csv, write_parquet
    from app.cli.predictions.table import table

    if file is None:
        for line in table(found):
            click.echo(line)
        return
    write = write_parquet if file.path.suffix == ".parquet" else write_csv
    file.write(lambda path: write(found, path))
