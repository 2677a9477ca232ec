"""What `medimageinsight evaluate` does."""

import hashlib
from pathlib import Path
from typing import Any

import click

from app.inference.model_loader import find_model, load_engine
from app.settings import Settings
from model.checkpoints.release_folder import ReleaseFolder, find_release_folder
from model.data.manifest import Manifest, check_images, read_manifest
from model.devices import pick_device, pick_dtype
from model.embedder import Embedder
from model.embedding_cache import EmbeddingCache, fingerprint
from model.engine_embedder import EngineEmbedder
from model.evaluation.evaluate import evaluate
from model.evaluation.options import EvaluationOptions
from model.evaluation.prompts import read_prompts
from model.evaluation.report.report import HTML_FILE, write_report
from model.imaging.preprocessing import Standardization
from model.optional_dependencies import extra

HEADLINES = ("macro_auc", "balanced_accuracy", "macro_f1", "mean_average_precision", "mean_absolute_error")


def run_evaluate(
    options: EvaluationOptions,
    settings: Settings,
    *,
    data: Path,
    out: Path,
    train_data: Path | None = None,
    prompts: Path | None = None,
    plain: bool = False,
    no_cache: bool = False,
    strict: bool = False,
) -> None:
    """Evaluator a model on a manifest, write the report, and print its headlines.

    Raises:
        MedImageInsightError: the model, the manifest, the prompts or the extra `train` cannot be used.
    """
    for package in ("sklearn", "matplotlib"):
        extra(package)  # now rather than after an hour of embedding
    manifest = read_rows(data, strict=strict)
    train = read_rows(train_data, strict=strict) if train_data else None
    wordings = read_prompts(prompts) if prompts else None
    embedder, release = open_embedder(settings, plain=plain, no_cache=no_cache)
    evaluation = evaluate(embedder, manifest, options, prompts=wordings, train=train)
    files = {"file": data, "train": train_data, "prompts": prompts}
    facts = {
        "model": {"name": release.name, "weights_sha256": release.weights_sha256()},
        "data": {name: f"{path.name} sha256:{_sha256(path)}" for name, path in files.items() if path},
        "options": vars(options) | {"plain": plain},
    }
    report = write_report(evaluation, facts, out, seed=options.seed)
    for name, task in report["tasks"].items():
        shown = [f"{metric} {_estimate(task['metrics'][metric])}" for metric in HEADLINES if metric in task["metrics"]]
        click.echo(f"{name}: {', '.join(shown)}")
    count = report["bad_rows"]["count"]
    click.echo(f"{out / HTML_FILE}: {report['rows']} rows{f', {count} bad ones left out' if count else ''}", err=True)


def open_embedder(settings: Settings, *, plain: bool, no_cache: bool) -> tuple[Embedder, ReleaseFolder]:
    """The model that the settings name, to be loaded when the cache lacks an embedding."""
    release = find_release_folder(find_model(settings))
    device = pick_device(settings.device)
    dtype = pick_dtype(settings.dtype, device)
    cache = None
    if not no_cache:
        folder = settings.cache_dir.expanduser() / "embeddings"
        cache = EmbeddingCache(folder, fingerprint(release, device.type, str(dtype)))
    standardization = None if plain else Standardization()
    embedder = EngineEmbedder(
        lambda: load_engine(settings).engine, cache=cache, standardization=standardization, progress=True
    )
    return embedder, release


def read_rows(path: Path, *, strict: bool) -> Manifest:
    """A manifest's rows, with or without labels; if `strict`, every image's header is read first."""
    manifest = read_manifest(path, strict=strict, needs_text=False)
    return check_images(manifest, strict=True) if strict else manifest


def _estimate(entry: dict[str, Any]) -> str:
    low, high = entry["interval"]
    value = "undefined" if entry["value"] is None else f"{entry['value']:.3f}"
    return value if low is None else f"{value} [{low:.3f}, {high:.3f}]"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
