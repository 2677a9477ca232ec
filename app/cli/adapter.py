"""The commands `adapter train` and `adapter apply`: a head that is trained on a model's embeddings."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from app.cli.options.adapter_flags import check_adapter_flags
from app.cli.options.from_dataclasses import dataclass_options, take_options
from app.cli.options.from_settings import settings_options, take_settings
from app.cli.options.preprocessing import preprocessing_options, take_preprocessing
from app.cli.options.shared import (
    FILE,
    FOLDER,
    api_key,
    example,
    no_cache,
    open_head_folder,
    overwrite_head,
    require_folder_of,
    require_pyarrow_for,
    server,
    strict_images,
    strict_rows,
    verbose,
)
from app.settings import Settings
from model.errors import ManifestError
from model.evaluation.options import EvaluationOptions
from model.heads.options import AdapterOptions

if TYPE_CHECKING:
    from model.data.manifest import BadRow, Manifest, Row
    from model.evaluation.rows import EmbeddedRows
    from model.heads.head import Head

    Embed = Callable[[Sequence[Row]], tuple[EmbeddedRows, list[BadRow]]]
    Task = tuple[Callable[[Row], str], Callable[..., Head]]

TRAIN, VAL = "train", "val"  # values of the column split


@click.group(
    short_help="Train a head on labelled images, and apply it.",
    epilog=example(
        "medimageinsight adapter train --data train.csv --out adapter/",
        "medimageinsight adapter apply adapter/ scans/ -o predictions.csv",
    ),
)
def adapter() -> None:
    """Train a classifier on a model's embeddings, and apply it."""


@adapter.command(
    short_help="Train a head on labels, or on numbers.",
    epilog=example(
        "medimageinsight adapter train --data train.csv --out adapter/",
        "medimageinsight adapter train --data train.csv --val val.csv --target age --out age/",
    ),
)
@settings_options("model")
@click.option(
    "--data",
    required=True,
    type=FILE,
    help="CSV or Parquet file with the column path, the labels, and optionally split and group; or JSONL file as "
    "finetune reads it",
)
@click.option(
    "--val", type=FILE, help="File like --data to validate on; without it, its split val or a fifth of the groups"
)
@click.option(
    "--embeddings",
    type=FILE,
    help="File that `medimageinsight embed` wrote, .npz or .parquet; its vectors replace the images and the model",
)
@click.option("--out", required=True, type=FOLDER, help="Folder for head.json and head.safetensors")
@overwrite_head
@click.option(
    "--json", "as_json", is_flag=True, help="Print the options and results as JSON; otherwise as a table of the labels"
)
@dataclass_options(EvaluationOptions, "label_column", "multi_label", "target")
@dataclass_options(AdapterOptions)
@preprocessing_options
@no_cache
@strict_rows
@server
@api_key
@settings_options("device", "dtype", "threads", "max_image_pixels", "cache_dir", "offline")
@click.pass_context
def train(
    context: click.Context,
    /,
    data: Path,
    val: Path | None,
    embeddings: Path | None,
    out: Path,
    overwrite: bool,
    as_json: bool,
    label_column: str,
    multi_label: bool | None,
    target: str,
    strict: bool,
    **given: Any,
) -> None:
    """Train a classifier on the labels of a manifest, or with --target a regression.

    Needs medimageinsight-server[train]. Bad rows are listed and left out; they change the exit status only with
    --strict.
    """
    from app.cli.summaries.adapter_summary import show
    from model.heads.head_folder import save_head
    from model.optional_dependencies import extra

    options = take_options(AdapterOptions, given)
    check_adapter_flags(context, options, is_regression=bool(target), from_file=embeddings is not None)
    settings = None if embeddings else take_settings(given)
    extra("sklearn")  # now rather than after an hour of embedding
    manifest, to_validate = _read(data, val, target or label_column, strict=strict, needs_image=embeddings is None)
    problem, fit = _regression(target) if target else _classification(manifest.rows, label_column, multi_label)
    open_head_folder(out, overwrite=overwrite)
    with _open_source(embeddings, settings, given) as (embed, facts):
        train_rows, bad = _embed_usable(embed, manifest, problem)
        validation, bad_validation = _embed_usable(embed, to_validate, problem)
    _list(bad, bad_validation, val)
    needed = f"number in the column {target}" if target else f"label in the column {label_column}"
    for file, rows in ((data, train_rows.rows), (val, validation.rows)):
        if file and not rows:
            raise ManifestError(f"{file.name} has no usable row with a {needed}")
    trained = fit(train_rows, options=options, validation=validation, **facts, progress=True)
    save_head(trained, out)
    show(trained, out, as_json=as_json)


@adapter.command(
    short_help="Classify images with one head, into one line per image.",
    epilog=example("medimageinsight adapter apply adapter/ scans/ -o predictions.csv"),
)
@settings_options("model")
@click.argument("adapter", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .parquet, or CSV with any other suffix",
)
@no_cache
@strict_images
@verbose
@server
@api_key
@settings_options("device", "dtype", "threads", "max_image_pixels", "max_labels", "cache_dir", "offline")
def apply(adapter: Path, paths: tuple[Path, ...], output: Path, strict: bool, verbose: bool, **given: Any) -> None:
    """Classify images with one head, ADAPTER, as the command classify does, into a file with one line per image.

    The file has the score of each label, and whether the score reaches the label's thresholds.

    The exit status is 1 if an image cannot be read (the others are written), or if there is none (nothing is written).
    """
    from app.cli.embedders.embedding_model import open_embedder
    from app.cli.inputs import EXIT_SOME_FAILED, list_left_out, read_images, require_embedded
    from app.cli.predictions.prediction import predict
    from app.cli.predictions.wide_files import write_wide_csv, write_wide_parquet
    from model.heads.served_heads import load_heads
    from model.imaging.preprocessing import Preprocessing
    from model.output_file import OutputFile

    require_folder_of(output)
    require_pyarrow_for(output)
    settings = take_settings(given)
    images, failed = read_images(paths, verbose=verbose, strict=strict)
    # The head's own preprocessing replaces the usual one.
    with OutputFile(output) as file, open_embedder(settings, preprocessing=Preprocessing(), **given) as model:
        heads = load_heads([adapter], model, model.embedding_size, max_labels=settings.max_labels)
        found = predict(model.embedder, images, heads, strict=strict)
        list_left_out((images[position].path, reason) for position, reason in found.problems)
        failed += len(found.problems)
        require_embedded(found.positions, failed)
        write = write_wide_parquet if output.suffix == ".parquet" else write_wide_csv
        file.write(lambda path: write(found, path))
    click.echo(f"{output}: {len(found.positions)} images{f', {failed} left out' if failed else ''}", err=True)
    if failed:
        sys.exit(EXIT_SOME_FAILED)


def _read(data: Path, val: Path | None, column: str, *, strict: bool, needs_image: bool) -> "tuple[Manifest, Manifest]":
    """The train rows and the validation rows, which all have the column; each bad row is in one of the two."""
    from app.cli.inputs import read_rows
    from model.data.manifest import split_for_training
    from model.evaluation.plan import require_columns

    read = [read_rows(file, strict=strict, needs_image=needs_image) for file in (data, val) if file]
    for manifest in read:
        require_columns(manifest, [column], ("split", "group"), splits=(TRAIN, VAL))
    train, validation = split_for_training(read[0], read[1] if val else None)
    if val and validation:
        return train, validation
    return train, replace(train, rows=validation.rows if validation else (), bad_rows=())


def _list(bad_rows: "Sequence[BadRow]", bad_validation: "Sequence[BadRow]", val: Path | None) -> None:
    """Say on stderr which rows of each file are left out, in their order."""
    from app.cli.inputs import list_left_out

    both = (bad_rows, bad_validation) if val else ([*bad_rows, *bad_validation], ())
    for bad_ones, of_file in zip(both, ("", f" of {val.name}" if val else ""), strict=True):
        in_order = sorted(bad_ones, key=lambda bad: bad.number)
        list_left_out((f"row {bad.number}{of_file}", bad.reason) for bad in in_order)


def _classification(rows: "Sequence[Row]", label_column: str, multi_label: bool | None) -> "Task":
    """Why a row has no usable label, and the training on the labels of the rows."""
    from model.evaluation.labels import find_labels
    from model.heads.adapter_training import train_adapter

    labels = find_labels(rows, label_column, (), multi_label)
    return labels.problem, partial(train_adapter, labels=labels)


def _regression(target: str) -> "Task":
    """Why a row has no usable number, and the training on the numbers of the column."""
    from model.evaluation.rows import number_problem
    from model.heads.regression_training import train_regression

    return partial(number_problem, column=target), partial(train_regression, target=target)


@contextmanager
def _open_source(
    embeddings: Path | None, settings: Settings | None, given: dict[str, Any]
) -> "Iterator[tuple[Embed, dict[str, Any]]]":
    """What embeds rows, and the facts on the model for the head: from a file of embeddings, or else from a model."""
    from app.cli.embedders.embedding_model import open_embedder
    from model.data.embeddings_file import read_embeddings
    from model.evaluation.rows import embed_rows, find_embedded_rows

    if settings is None:
        stored = read_embeddings(cast(Path, embeddings))
        model = {"name": stored.model, "weights_sha256": stored.weights_sha256}
        yield partial(find_embedded_rows, stored), {"model": model, "preprocessing": stored.preprocessing}
        return
    preprocessing = take_preprocessing(given)
    with open_embedder(settings, preprocessing=preprocessing, **given) as opened:
        model = {"name": opened.name, "weights_sha256": opened.weights_sha256()}
        yield partial(embed_rows, opened.embedder), {"model": model, "preprocessing": preprocessing}


def _embed_usable(
    embed: "Embed", manifest: "Manifest", problem: "Callable[[Row], str]"
) -> "tuple[EmbeddedRows, list[BadRow]]":
    """Embed the rows without a problem. Returns the others, and those without an embedding, with the bad rows."""
    from model.data.manifest import BadRow

    problems = [(row, problem(row)) for row in manifest.rows]
    embedded, bad = embed([row for row, reason in problems if not reason])
    return embedded, [*manifest.bad_rows, *(BadRow(row.number, reason) for row, reason in problems if reason), *bad]
