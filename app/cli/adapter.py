"""The commands `adapter train` and `adapter apply`: a classifier on a model's embeddings."""

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.embed import verbose
from app.cli.options import (
    FILE,
    FOLDER,
    api_key,
    dataclass_options,
    example,
    no_cache,
    plain,
    require_folder_of,
    server,
    settings_options,
    strict_images,
    strict_rows,
    take_options,
    take_settings,
)
from model.errors import CheckpointError, ManifestError
from model.evaluation.options import EvaluationOptions
from model.heads.options import AdapterOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from model.data.manifest import BadRow, Row
    from model.embedder import Embedder
    from model.evaluation.labels import Labels
    from model.evaluation.rows import EmbeddedRows
    from model.heads.adapter import Adapter

THRESHOLDS = ("sensitivity_90", "youden")


@click.group(
    epilog=example(
        "medimageinsight adapter train --model FOLDER --data train.csv --out adapter/",
        "medimageinsight adapter apply --model FOLDER adapter/ images/ -o predictions.csv",
    )
)
def adapter() -> None:
    """Train a classifier on a model's embeddings, and apply it."""


@adapter.command(epilog=example("medimageinsight adapter train --model FOLDER --data train.csv --out adapter/"))
@settings_options("model")
@click.option(
    "--data",
    required=True,
    type=FILE,
    help="CSV or Parquet file with the column path, the labels, and optionally split and group",
)
@click.option(
    "--val", type=FILE, help="File like --data to validate on; without it, its split val or a fifth of the groups"
)
@click.option("--out", required=True, type=FOLDER, help="Folder for adapter.safetensors and adapter.json")
@dataclass_options(EvaluationOptions, "label_column", "multi_label")
@dataclass_options(AdapterOptions)
@plain
@no_cache
@strict_rows
@server
@api_key
@settings_options("device", "dtype", "threads", "max_image_pixels", "cache_dir", "offline")
def train(
    data: Path,
    val: Path | None,
    out: Path,
    label_column: str,
    multi_label: bool | None,
    strict: bool,
    plain: bool,
    **given: Any,
) -> None:
    """Train a classifier on the labels of a manifest. Needs medimageinsight-server[train].

    Bad rows are listed and left out; they change the exit status only with --strict.
    """
    from app.cli.embedders import list_left_out, open_embedder, read_rows
    from model.evaluation.labels import find_labels
    from model.heads.adapter_training import train_adapter
    from model.output_file import open_folder

    settings, options = take_settings(given), take_options(AdapterOptions, given)
    manifest = read_rows(data, strict=strict)
    rows = list(manifest.with_split("train").rows if "train" in manifest.splits else manifest.rows)
    validation_rows = list(read_rows(val, strict=strict).rows if val else manifest.with_split("val").rows)
    labels = find_labels(rows, label_column, (), multi_label)
    open_folder(out)
    with open_embedder(settings, plain=plain, **given) as model:
        train_rows, bad = _embed_labelled(model.embedder, rows, labels)
        validation, bad_validation = _embed_labelled(model.embedder, validation_rows, labels)
        facts = {"name": model.name, "weights_sha256": model.weights_sha256(), "plain": plain}
    list_left_out((f"row {row.number}", row.reason) for row in (*manifest.bad_rows, *bad, *bad_validation))
    if not train_rows.rows:
        raise ManifestError(f"{data.name} has no usable row with a label in the column {label_column}")
    trained = train_adapter(train_rows, labels, options, validation=validation, model=facts, progress=True)
    trained.save(out)
    click.echo(json.dumps({"labels": trained.labels, "sizes": trained.sizes, **trained.training}, indent=2))


@adapter.command(epilog=example("medimageinsight adapter apply --model FOLDER adapter/ images/ -o predictions.csv"))
@settings_options("model")
@click.argument("adapter", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="CSV file to write"
)
@no_cache
@strict_images
@verbose
@server
@api_key
@settings_options("device", "dtype", "threads", "max_image_pixels", "cache_dir", "offline")
def apply(adapter: Path, paths: tuple[Path, ...], output: Path, strict: bool, verbose: bool, **given: Any) -> None:
    """Classify image files, and folders of them, with the adapter in the folder ADAPTER.

    The CSV file has one row per image, with the probability of each label and whether it reaches the label's
    thresholds. Images are found in folders by their content, whatever their names are.

    The exit status is 1 if an image cannot be read (the others are written), or if there is none (nothing is written).
    """
    from app.cli.embedders import EXIT_SOME_FAILED, find_files, list_left_out, open_embedder, require_embedded
    from model.data.image_source import ImageSource
    from model.heads.adapter import FACTS_FILE, load_adapter
    from model.output_file import OutputFile

    require_folder_of(output)
    loaded = load_adapter(adapter)
    found = find_files(paths, verbose=verbose, strict=strict)
    files = found.files
    settings = take_settings(given)
    plain = bool(loaded.model.get("plain"))
    with OutputFile(output) as file, open_embedder(settings, plain=plain, **given) as model:
        if model.weights_sha256() != loaded.model.get("weights_sha256"):
            trained_on = loaded.model.get("name", "another model")
            raise CheckpointError(
                f"the adapter was trained on other weights than those of {model.name} ({trained_on}, see {FACTS_FILE})"
            )
        images = model.embedder.images([ImageSource(file) for file in files], strict=strict)
        list_left_out((files[position], reason) for position, reason in images.refused.items())
        failed = len(images.refused) + len(found.unreadable)
        require_embedded(images.positions, failed)
        embedded = [files[position] for position in images.positions]
        file.write(lambda path: _write_predictions(path, loaded, embedded, images.features))
    click.echo(f"{output}: {len(images.positions)} images, {failed} left out", err=True)
    if failed:
        sys.exit(EXIT_SOME_FAILED)


def _embed_labelled(embedder: "Embedder", rows: "list[Row]", labels: "Labels") -> "tuple[EmbeddedRows, list[BadRow]]":
    """Embed the rows whose label can be used; returns the other rows, and those with unreadable images, as bad rows."""
    from model.data.manifest import BadRow
    from model.evaluation.rows import embed_rows

    problems = [BadRow(row.number, labels.problem(row)) for row in rows if labels.problem(row)]
    embedded, bad = embed_rows(embedder, [row for row in rows if not labels.problem(row)])
    return embedded, [*problems, *bad]


def _write_predictions(output: Path, adapter: "Adapter", files: list[Path], features: "NDArray[np.float32]") -> None:
    """Write the CSV file: one row per file."""
    scores = adapter.probabilities(features).tolist()
    # A name that is not UTF-8 is written as the bytes that it has on disk.
    with output.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_columns(adapter))
        for file, row in zip(files, scores, strict=True):
            writer.writerow([file, *_cells(adapter, row)])


def _columns(adapter: "Adapter") -> list[str]:
    """The header of the CSV file."""
    likeliest = ["label"] if adapter.one_label else []
    ends = ("", *(f" at {threshold}" for threshold in THRESHOLDS))
    return ["path", *likeliest, *(f"{label}{end}" for label in adapter.labels for end in ends)]


def _cells(adapter: "Adapter", scores: list[float]) -> list[Any]:
    """The cells of one image: the likeliest label, then per label its probability and one 0 or 1 per threshold."""
    cells: list[Any] = [adapter.labels[scores.index(max(scores))]] if adapter.one_label else []
    for label, score in zip(adapter.labels, scores, strict=True):
        thresholds = [adapter.thresholds.get(label, {}).get(kind) for kind in THRESHOLDS]
        cells += [f"{score:.6f}", *("" if one is None else int(score >= one["threshold"]) for one in thresholds)]
    return cells
