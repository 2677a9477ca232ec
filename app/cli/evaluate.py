"""The command `evaluate`: a report on a model, from the rows of a manifest."""

import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from app.cli.options.from_dataclasses import dataclass_options, take_options
from app.cli.options.from_settings import settings_options, take_settings
from app.cli.options.preprocessing import preprocessing_options, take_preprocessing
from app.cli.options.prompts import prompts
from app.cli.options.shared import FILE, FOLDER, api_key, example, no_cache, server, shown, strict_rows
from app.cli.options.typed_command import TypedCommand, typed_line
from app.version import VERSION
from model.evaluation.options import EvaluationOptions

HEADLINES = ("macro_auc", "balanced_accuracy", "macro_f1", "mean_average_precision", "mean_absolute_error")
MOST_PICTURES = 25  # as many as the report lists


@click.command(
    cls=TypedCommand,
    short_help="Evaluate a model, and write a report.",
    epilog=example(
        "medimageinsight evaluate --data test.csv --out report/",
        "medimageinsight evaluate --data test.csv --prompts prompts.yaml --by sex,site --out report/",
    ),
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
@click.option(
    "--compare",
    metavar="FILE",
    type=FILE,
    help="File report.json of another model on the same --data; both reports show which differences exceed the noise",
)
@click.option(
    "--mistake-pictures",
    type=click.IntRange(0, MOST_PICTURES),
    metavar="INTEGER",
    default=0,
    show_default=True,
    help=f"Pictures per task of the most confident wrong predictions in report.html, at most {MOST_PICTURES}; 0, the "
    "default, puts none there, because the file would then hold pictures of patients",
)
@prompts
@dataclass_options(EvaluationOptions)
@preprocessing_options
@no_cache
@strict_rows
@server
@api_key
@settings_options("device", "dtype", "threads", "max_image_pixels", "cache_dir", "offline")
def evaluate(
    data: Path,
    train_data: Path | None,
    out: Path,
    compare: Path | None,
    mistake_pictures: int,
    prompts: Path | None,
    strict: bool,
    **given: Any,
) -> None:
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
    from model.evaluation.report.comparison import read_report, require_comparable
    from model.evaluation.report.facts import Origin
    from model.evaluation.report.mistakes import MistakePictures
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
        "version": VERSION,
        "data": _described({"file": data, "train": train_data, "prompts": prompts}),
        "options": vars(options) | preprocessing.params(),
    }
    other = read_report(compare) if compare else None
    if other:
        require_comparable(facts["data"], plan.entries, other)
    pictures = MistakePictures(mistake_pictures, preprocessing, settings.max_image_pixels) if mistake_pictures else None
    with open_report(out) as files, open_embedder(settings, preprocessing=preprocessing, **given) as model:
        evaluation = run_plan(model.embedder, plan, progress=True)
        facts["model"] = {"name": model.name, "weights_sha256": model.weights_sha256()}
        origin = Origin(datetime.now(UTC), typed_line())
        report = files.write(evaluation, facts, seed=options.seed, origin=origin, other=other, mistakes=pictures)
    _say_metrics(report)
    if other:
        _say_comparison(report["comparison"])
    for name, reason in report["skipped"].items():
        click.echo(f"{name} is skipped: {shown(reason)}", err=True)
    count = report["bad_rows"]["count"] + report["training"]["bad_rows"]["count"]
    left_out = f", {count} bad {'row' if count == 1 else 'rows'} left out" if count else ""
    click.echo(f"{out / HTML_FILE}: {report['rows']} rows{left_out}", err=True)
    if count or set(options.tasks) & set(report["skipped"]):
        sys.exit(EXIT_SOME_FAILED)


def _say_metrics(report: dict[str, Any]) -> None:
    for name, task in report["tasks"].items():
        values = [f"{metric} {_estimate(task['metrics'][metric])}" for metric in HEADLINES if metric in task["metrics"]]
        click.echo(f"{name}: {', '.join(values)}")


def _say_comparison(comparison: dict[str, Any]) -> None:
    """The headline metrics beside those of the other report."""
    click.echo(f"compared with {shown(comparison['model'].get('name', 'the other report'))}:")
    for name, task in comparison["tasks"].items():
        if "note" in task:
            click.echo(f"{name}: {task['note']}")
            continue
        for metric in HEADLINES:
            if metric in task["metrics"]:
                click.echo(f"{name}: {metric} {_difference(task['metrics'][metric])}")


def _difference(entry: dict[str, Any]) -> str:
    """Both values of a metric, their difference with its interval, and the finding."""
    values = ["undefined" if entry[key] is None else f"{entry[key]:.3f}" for key in ("value", "other")]
    low, high = entry["interval"]
    difference = "" if entry["difference"] is None else f", {entry['difference']:+.3f}"
    interval = "" if low is None else f" [{low:+.3f}, {high:+.3f}]"
    return f"{' instead of '.join(values)}{difference}{interval}: {entry['finding']}"


def _described(files: dict[str, Path | None]) -> dict[str, dict[str, str]]:
    """Name and checksum of each file that is given."""
    return {name: {"name": path.name, "sha256": _sha256(path)} for name, path in files.items() if path}


def _estimate(entry: dict[str, Any]) -> str:
    """A metric's value with its interval, if it has one."""
    low, high = entry["interval"]
    value = "undefined" if entry["value"] is None else f"{entry['value']:.3f}"
    return value if low is None else f"{value} [{low:.3f}, {high:.3f}]"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
