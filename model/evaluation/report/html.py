"""The evaluation report as one HTML page that needs no other file and no network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.evaluation.evaluator import Evaluation
from model.evaluation.report.figures import (
    calibration_curve,
    confusion_matrix,
    embedding_map,
    regression_scatter,
    roc_curves,
)
from model.evaluation.statistics.intervals import FEWEST_GROUPS, FEWEST_POOLED
from model.evaluation.statistics.subgroups import FEWEST_ROWS
from model.optional_dependencies import extra

TEMPLATE = "report.html.j2"
MOST_BAD_ROWS = 200  # in the page; the JSON file has all

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
    "image-to-image": "Retrieval: image to images",
    "prompt-to-image": "Retrieval: prompts of a label to images",
    "text-to-image": "Retrieval: text of a row to images",
    "retrieval": "Retrieval",
    "regression": "Regression",
}
WORDS = {"called": "predicted", "auc": "AUC", "f1": "F1"}


def render_html(report: Mapping[str, Any], evaluation: Evaluation, seed: int, json_file: str) -> str:
    """The page, with numbers from the report and pictures of the evaluation. Every text in it is escaped.

    Args:
        report: what the JSON file has.
        evaluation: the rows, scores and predictions that the pictures are drawn from.
        seed: seed of the map of the embeddings.
        json_file: name of the JSON file, for the page's notes.

    Raises:
        ExtraMissing: jinja2, matplotlib or scikit-learn is not installed.
    """
    jinja2 = extra("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"words": _words, "headlines": _headlines, "number": _number}
    names = [" | ".join(evaluation.labels.of(row)) or "(no label)" for row in evaluation.test_rows.rows]
    page: str = environment.get_template(TEMPLATE).render(
        title=f"Evaluation of {report.get('model', {}).get('name', 'a model')}",
        report=report,
        facts=_facts(report),
        titles=TITLES,
        drawn={name: _drawn(name, task, evaluation) for name, task in report["tasks"].items()},
        map=embedding_map(evaluation.test_rows.features, names, seed),
        json_file=json_file,
        fewest_rows=FEWEST_ROWS,
        fewest_groups=FEWEST_GROUPS,
        fewest_pooled=FEWEST_POOLED,
        most_bad_rows=MOST_BAD_ROWS,
    )
    return page


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        (key, ", ".join(f"{name} {_plain(value)}" for name, value in report[key].items() if value or value == 0))
        for key in ("model", "data", "options")
        if key in report
    ]
    training = report["training"]
    dropped = f"{training['dropped_for_overlap']} dropped because they share a group or an image with a test row"
    return [*facts, ("test rows", str(report["rows"])), ("train rows", f"{training['rows']}, {dropped}")]


def _drawn(name: str, task: Mapping[str, Any], evaluation: Evaluation) -> list[str]:
    """The pictures of a task, as data URIs."""
    if name == "regression" and evaluation.predictions:
        return [regression_scatter(*evaluation.predictions, task["target"])]
    scored = evaluation.classifications.get(name)
    if scored is None:
        return []
    if "confusion" not in task:
        return [roc_curves(scored)]
    return [roc_curves(scored), confusion_matrix(scored.labels, task["confusion"]), calibration_curve(scored)]


def _headlines(metrics: Mapping[str, Any]) -> list[str]:
    return [name for name in HEADLINES if name in metrics]


def _plain(value: Any) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _words(name: str) -> str:
    return " ".join(WORDS.get(word, word) for word in name.split("_"))
