"""The command `evaluate`: a report on a model, from the rows of a manifest."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import click

from app.cli.options.from_dataclasses import dataclass_options, take_options
from app.cli.options.from_settings import settings_options, take_settings
from app.cli.options.preprocessing import preprocessing_options, take_preprocessing
from app.cli.options.prompts import prompts
from app.cli.options.shared import FILE, FOLDER, api_key, example, no_cache, server, shown, strict_rows
from model.evaluation.options import EvaluationOptions

HEADLINES = ("macro_auc", "balanced_accuracy", "macro_f1", "mean_average_precision", "mean_absolute_error")


@click.command(
    epilog=example(
        "medimageinsight evaluate --model FOLDER --data test.csv --prompts prompts.json --by sex,site --out report/"
    )
)
@settings_options("model")
@click.option(
    "--data",
    required=True,
    type=FILE,
    help="CSV or Parquet file with the column path, and any of label, text, split, group and others; or JSONL file as "
    "finetune reads it",
)
@click.option("--train-data", type=FILE, help="File like --data with the train rows; without it, its split train")
@click.option("--out", required=True, type=FOLDER, help="Folder for report.json and report.html")
@prompts
@dataclass_options(EvaluationOptions)
@preprocessing_options
@no_cache
@strict_rows
@server
@api_key
@settings_options("device", "dtype", "threads", "max_image_pixels", "cache_dir", "offline")
def evaluate(data: Path, train_data: Path | None, out: Path, prompts: Path | None, strict: bool, **given: Any) -> None:
    """Evaluate a model on the rows of a manifest, and write report.json and report.html.

    Needs medimageinsight-server[train]. Embeddings are kept in the folder embeddings of --cache-dir, so that a second
    report is quick.

    The exit status is 1 if bad rows are left out, for example those with an unreadable image, or if a task of --tasks
    is skipped. The report lists them. The exit status is 2, and nothing is written, if no task can run.
    """
    from app.cli.embedders.embedding_model import open_embedder
    from app.cli.inputs import EXIT_SOME_FAILED, read_rows
    from model.evaluation.evaluate import run_plan
    from model.evaluation.plan import plan_evaluation
    from model.evaluation.prompts import read_prompts
    from model.evaluation.report.report import HTML_FILE, open_report
    from model.optional_dependencies import extra

    for package in ("sklearn", "matplotlib", "jinja2"):
        extra(package)  # now rather than after an hour of embedding
    settings, options = take_settings(given), take_options(EvaluationOptions, given)
    preprocessing = take_preprocessing(given)
    manifest = read_rows(data, strict=strict)
    train = read_rows(train_data, strict=strict) if train_data else None
    label_prompts = read_prompts(prompts) if prompts else None
    plan = plan_evaluation(manifest, options, prompts=label_prompts, train=train)
    for note in plan.notes:
        click.echo(f"warning: {shown(note)}", err=True)
    facts: dict[str, Any] = {
        "data": _described({"file": data, "train": train_data, "prompts": prompts}),
        "options": vars(options) | preprocessing.params(),
    }
    with open_report(out) as files, open_embedder(settings, preprocessing=preprocessing, **given) as model:
        evaluation = run_plan(model.embedder, plan, progress=True)
        facts["model"] = {"name": model.name, "weights_sha256": model.weights_sha256()}
        report = files.write(evaluation, facts, seed=options.seed)
    for name, task in report["tasks"].items():
        values = [f"{metric} {_estimate(task['metrics'][metric])}" for metric in HEADLINES if metric in task["metrics"]]
        click.echo(f"{name}: {', '.join(values)}")
    for name, reason in report["skipped"].items():
        click.echo(f"{name} is skipped: {shown(reason)}", err=True)
    count = report["bad_rows"]["count"] + report["training"]["bad_rows"]["count"]
    click.echo(f"{out / HTML_FILE}: {report['rows']} rows{f', {count} bad rows left out' if count else ''}", err=True)
    if count or set(options.tasks) & set(report["skipped"]):
        sys.exit(EXIT_SOME_FAILED)


def _described(files: dict[str, Path | None]) -> dict[str, str]:
    """Name and checksum of each file that is given."""
    return {name: f"{path.name} sha256:{_sha256(path)}" for name, path in files.items() if path}


def _estimate(entry: dict[str, Any]) -> str:
    """A metric's value with its interval, if it has one."""
    low, high = entry["interval"]
    value = "undefined" if entry["value"] is None else f"{entry['value']:.3f}"
    return value if low is None else f"{value} [{low:.3f}, {high:.3f}]"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
