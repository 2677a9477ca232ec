"""What `medimageinsight adapter train` and `adapter apply` do."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from app.cli.commands import image_files
from app.cli.evaluate import open_embedder, read_rows
from app.settings import Settings
from model.data.manifest import BadRow, ImageSource, Row
from model.embedder import Embedder
from model.errors import CheckpointError, ImageDecodeError, ManifestError
from model.evaluation.labels import Labels, find_labels
from model.evaluation.rows import EmbeddedRows, embed_rows
from model.heads.adapter import FACTS_FILE, Adapter, load_adapter
from model.heads.adapter_training import train_adapter
from model.heads.options import AdapterOptions

THRESHOLDS = ("sensitivity_90", "youden")


def run_adapter_train(
    options: AdapterOptions,
    settings: Settings,
    *,
    data: Path,
    val: Path | None,
    out: Path,
    label_column: str,
    multi_label: bool | None,
    plain: bool,
    no_cache: bool,
    strict: bool,
) -> None:
    """Learn an adapter from a manifest's labels and write it.

    Raises:
        MedImageInsightError: the model or the manifest cannot be used.
    """
    manifest = read_rows(data, strict=strict)
    rows = list(manifest.with_split("train").rows if "train" in manifest.splits else manifest.rows)
    validation_rows = list(read_rows(val, strict=strict).rows if val else manifest.with_split("val").rows)
    labels = find_labels(rows, label_column, (), multi_label)
    embedder, release = open_embedder(settings, plain=plain, no_cache=no_cache)
    known, bad = _embed_labelled(embedder, rows, labels)
    validation, bad_validation = _embed_labelled(embedder, validation_rows, labels)
    for row in [*manifest.bad_rows, *bad, *bad_validation]:
        click.echo(f"left out row {row.number}: {row.reason}", err=True)
    if not known.rows:
        raise ManifestError(f"{data.name} has no row to learn from in the column {label_column}")
    model = {"name": release.name, "weights_sha256": release.weights_sha256(), "plain": plain}
    adapter = train_adapter(known, labels, options, validation=validation, model=model, progress=True)
    adapter.save(out)
    click.echo(json.dumps({"labels": adapter.labels, "sizes": adapter.sizes, **adapter.training}, indent=2))


def run_adapter_apply(
    adapter_folder: Path, paths: Sequence[Path], output: Path, settings: Settings, *, no_cache: bool, strict: bool
) -> None:
    """Write a CSV file with every image's probabilities, and whether they reach the labels' thresholds.

    Raises:
        CheckpointError: the adapter is unusable, or belongs to another model.
        ImageDecodeError: an image is unreadable and `strict`.
    """
    adapter = load_adapter(adapter_folder)
    embedder, release = open_embedder(settings, plain=bool(adapter.model.get("plain")), no_cache=no_cache)
    if release.weights_sha256() != adapter.model.get("weights_sha256"):
        trained_on = adapter.model.get("name", "another model")
        raise CheckpointError(
            f"the adapter was trained on other weights than those of {release.name} ({trained_on}, see {FACTS_FILE})"
        )
    files = list(image_files(paths))
    embedded = embedder.images([ImageSource(file) for file in files])
    for position, reason in embedded.refused.items():
        if strict:
            raise ImageDecodeError(f"{files[position]}: {reason}")
        click.echo(f"left out {files[position]}: {reason}", err=True)
    scores = adapter.probabilities(embedded.features).tolist() if embedded.positions else []
    with output.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_columns(adapter))
        for position, row in zip(embedded.positions, scores, strict=True):
            writer.writerow([files[position], *_cells(adapter, row)])
    click.echo(f"{output}: {len(embedded.positions)} images, {len(embedded.refused)} left out", err=True)


def _embed_labelled(embedder: Embedder, rows: list[Row], labels: Labels) -> tuple[EmbeddedRows, list[BadRow]]:
    problems = [BadRow(row.number, labels.problem(row)) for row in rows if labels.problem(row)]
    embedded, bad = embed_rows(embedder, [row for row in rows if not labels.problem(row)])
    return embedded, [*problems, *bad]


def _columns(adapter: Adapter) -> list[str]:
    likeliest = ["label"] if adapter.one_label else []
    return [
        "path",
        *likeliest,
        *(f"{label}{end}" for label in adapter.labels for end in ("", *map(_suffix, THRESHOLDS))),
    ]


def _suffix(threshold: str) -> str:
    return f" at {threshold}"


def _cells(adapter: Adapter, scores: list[float]) -> list[Any]:
    cells: list[Any] = [adapter.labels[scores.index(max(scores))]] if adapter.one_label else []
    for label, score in zip(adapter.labels, scores, strict=True):
        known = [adapter.thresholds.get(label, {}).get(kind) for kind in THRESHOLDS]
        cells += [f"{score:.6f}", *("" if one is None else int(score >= one["threshold"]) for one in known)]
    return cells
