"""An evaluation as two files: report.json with every number, and report.html, which needs nothing beside it."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from model.evaluation.report.figures import (
    calibration_curve,
    confusion_matrix,
    embedding_map,
    regression_scatter,
    roc_curves,
)
from model.evaluation.report.html import Markup, details, page, pictures, section, table
from model.evaluation.run import Evaluation
from model.evaluation.statistics.subgroups import FEWEST_ROWS

JSON_FILE, HTML_FILE = "report.json", "report.html"
MOST_BAD_ROWS = 200  # shown in the page; the JSON has all

HEADLINES = (
    "macro_auc",
    "balanced_accuracy",
    "macro_f1",
    "macro_sensitivity_at_specificity_0.9",
    "mean_average_precision",
    "precision@10",
    "hit@1",
    "mean_absolute_error",
    "mean_absolute_error_of_the_median",
)
TITLES = {
    "zero-shot": "Zero-shot classification",
    "knn": "Nearest neighbours",
    "linear-probe": "Linear probe",
    "image-to-image": "Retrieval, image to image",
    "prompt-to-image": "Retrieval, label's prompts to image",
    "text-to-image": "Retrieval, row's text to image",
    "regression": "Regression",
}


def write_report(evaluation: Evaluation, facts: Mapping[str, Any], folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write both files; returns what is in the JSON.

    Args:
        evaluation: what was found.
        facts: of the model, the data and the options, for the head of the report.
        folder: made if it is missing.
        seed: of the map of the embeddings.
    """
    report = {"format": 1, **facts, **evaluation.report}
    page = render_html(report, evaluation, seed)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")
    (folder / HTML_FILE).write_text(page, encoding="utf-8")
    return report


def render_html(report: Mapping[str, Any], evaluation: Evaluation, seed: int) -> str:
    """The page."""
    names = [" | ".join(evaluation.labels.of(row)) or "(no label)" for row in evaluation.test_rows.rows]
    sections = [
        _head(report),
        section("Overview", _overview(report["tasks"])),
        *(_task(name, task, evaluation) for name, task in report["tasks"].items()),
        section("Map of the embeddings", pictures([embedding_map(evaluation.test_rows.features, names, seed)])),
    ]
    title = f"Evaluation of {report.get('model', {}).get('name', 'a model')}"
    return page(title, "".join(sections))


def _head(report: Mapping[str, Any]) -> str:
    facts = [
        (key, ", ".join(f"{name} {_plain(value)}" for name, value in report[key].items() if value or value == 0))
        for key in ("model", "data", "options")
        if key in report
    ]
    training = report["training"]
    facts.append(("rows judged", str(report["rows"])))
    dropped = training["dropped_for_overlap"]
    facts.append(
        ("rows learnt from", f"{training['rows']}, {dropped} dropped that share a group or image with those judged")
    )
    rows = "".join(
        f'<tr><td>{escape(key)}</td><td class="text" style="white-space:normal">{escape(value)}</td></tr>'
        for key, value in facts
    )
    bad = "".join(
        _bad_rows(title, part)
        for title, part in (("Bad rows", report["bad_rows"]), ("Bad rows to learn from", training["bad_rows"]))
    )
    note = (
        "Values with 95 % intervals from a bootstrap that draws whole groups (patients). Research software; not for "
        "clinical use."
    )
    return f'<section><table>{rows}</table><p class="note">{note}</p>{bad}</section>'


def _bad_rows(title: str, bad: Mapping[str, Any]) -> str:
    if not bad["count"]:
        return f'<p class="note">{escape(title)}: none</p>'
    shown = bad["rows"][:MOST_BAD_ROWS]
    more = f"; the first {len(shown)}, all are in {JSON_FILE}" if len(shown) < bad["count"] else ""
    return details(
        f"{title}: {bad['count']}{more}", table(["row", "reason"], [[row["row"], row["reason"]] for row in shown])
    )


def _overview(tasks: Mapping[str, Any]) -> str:
    lines: list[list[Any]] = []
    for name, task in tasks.items():
        shown = [metric for metric in HEADLINES if metric in task["metrics"]][:3]
        cells = [
            Markup(f"{_estimate(task['metrics'][metric])}<br><small>{escape(_words(metric))}</small>")
            for metric in shown
        ]
        lines.append([TITLES[name], task["rows"], *cells, *[""] * (3 - len(cells))])
    return table(["task", "rows", "", "", ""], lines)


def _task(name: str, task: Mapping[str, Any], evaluation: Evaluation) -> str:
    parts = [f'<p class="note">{task["rows"]} rows of {task["groups"]} groups']
    parts.append(f"; learnt from {escape(task['learnt_from'])}</p>" if task.get("learnt_from") else "</p>")
    if task["left_out"]["count"]:
        parts.append(_bad_rows("Left out", task["left_out"]))
    parts.append(table(["metric", "value", "labels"], _metric_lines(task["metrics"])))
    scored = evaluation.classifications.get(name)
    if scored is not None:
        drawn = [roc_curves(scored)]
        if "confusion" in task:
            drawn += [confusion_matrix(scored.labels, task["confusion"]), calibration_curve(scored)]
            error = task["calibration"]["expected_calibration_error"]
            parts.append(f'<p class="note">expected calibration error {error:.3f}</p>')
        parts.append(pictures(drawn))
        parts.append(details("By label", _labels(task["labels"])))
    if name == "regression" and evaluation.predictions:
        parts.append(pictures([regression_scatter(*evaluation.predictions, task["target"])]))
    parts += [_subgroups(column, groups) for column, groups in task["subgroups"].items()]
    if task.get("worst_mistakes"):
        columns = list(task["worst_mistakes"][0])
        lines = [[_shown(mistake[column]) for column in columns] for mistake in task["worst_mistakes"]]
        parts.append(details("Worst mistakes, by row of the manifest", table([*map(_words, columns)], lines)))
    return section(TITLES[name], "".join(parts))


def _metric_lines(metrics: Mapping[str, Any]) -> list[list[Any]]:
    return [[_words(name), _estimate(entry), entry.get("labels", "")] for name, entry in metrics.items()]


def _labels(labels: Mapping[str, Any]) -> str:
    names = [name for name in next(iter(labels.values())) if name != "rows"]
    lines = [[label, entry["rows"], *(_estimate(entry[name]) for name in names)] for label, entry in labels.items()]
    return table(["label", "rows", *map(_words, names)], lines)


def _subgroups(column: str, groups: Mapping[str, Any]) -> str:
    known: Mapping[str, Any] = next((group["metrics"] for group in groups.values() if "metrics" in group), {})
    names = [name for name in HEADLINES if name in known]
    lines: list[list[Any]] = []
    for group, entry in groups.items():
        found = entry.get("metrics", {})
        cells = [Markup(_estimate(found.get(name)) + _difference(found.get(name))) for name in names]
        lines.append([group, entry["rows"], entry["groups"], *(cells if found else [entry["note"]])])
    note = (
        "Below each value its difference from all other rows, marked where the interval excludes 0, as one in twenty "
        f"does by chance. Labels with fewer than {FEWEST_ROWS} rows in a subgroup do not count in it; "
        f"{JSON_FILE} has all metrics."
    )
    shown = table(["subgroup", "rows", "groups", *map(_words, names)], lines)
    return f'<h3>By {escape(column)}</h3><p class="note">{note}</p>{shown}'


def _difference(entry: Mapping[str, Any] | None) -> str:
    if not entry or entry["difference"]["value"] is None:
        return ""
    low, high = entry["difference"]["interval"]
    far = low is not None and (low > 0 or high < 0)
    interval = f" [{low:+.3f}, {high:+.3f}]" if low is not None else ""
    text = f"{entry['difference']['value']:+.3f}{interval}"
    return f"<br><small{' class=far' if far else ''}>{text}</small>"


def _estimate(entry: Mapping[str, Any] | None) -> Markup:
    if not entry or entry["value"] is None:
        return Markup("–")
    low, high = entry["interval"]
    interval = f" <small>[{low:.3f}, {high:.3f}]</small>" if low is not None else ""
    return Markup(f"{entry['value']:.3f}{interval}")


def _plain(value: Any) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _words(name: str) -> str:
    return name.replace("_", " ").replace("auc", "AUC").replace("f1", "F1")
