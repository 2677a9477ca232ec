"""The evaluation report as one HTML page that needs no script, no other file and no network."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.evaluation.evaluator import Evaluation
from model.evaluation.report import confusion
from model.evaluation.report.confusion import Confusion, confusion_of
from model.evaluation.report.facts import Origin, facts_of, options_of
from model.evaluation.report.figures.canvas import FONT_PT, Picture
from model.evaluation.report.figures.curves import calibration_curve, regression_scatter, roc_curves
from model.evaluation.report.figures.embedding_map import embedding_map
from model.evaluation.report.words import TITLES, headlines, number, signed, slug, words
from model.evaluation.statistics.intervals import FEWEST_GROUPS, FEWEST_POOLED
from model.evaluation.statistics.subgroups import FEWEST_ROWS
from model.optional_dependencies import extra

TEMPLATE, STYLE = "report.html.j2", "style.css.j2"
MOST_BAD_ROWS = 200  # in the page; the JSON file has all
SMALLEST_TEXT_PT = 9.0


def render_page(
    report: Mapping[str, Any],
    evaluation: Evaluation,
    *,
    seed: int,
    json_file: str,
    origin: Origin | None = None,
    mistake_pictures: Mapping[int, str] = {},
    mistakes_per_task: int = 0,
) -> str:
    """The page, with numbers from the report and figures of the evaluation. Every text in it is escaped.

    The page allows itself no script and no request, by a content security policy.

    Args:
        report: what the JSON file has.
        evaluation: the rows, scores and predictions that the figures are drawn from.
        seed: seed of the map of the embeddings.
        json_file: name of the JSON file, for the page's notes.
        origin: how the page was made; default None does not say it.
        mistake_pictures: row number -> data URI of its picture, for the worst mistakes; default: no pictures.
        mistakes_per_task: number of mistakes per task that get their picture.

    Raises:
        ExtraMissing: jinja2, matplotlib or scikit-learn is not installed.
    """
    environment = _environment()
    style = environment.get_template(STYLE).render(
        shades=confusion.SHADES, smallest=f"{100 * SMALLEST_TEXT_PT / FONT_PT:g}"
    )
    names = [" | ".join(evaluation.labels.of(row)) or "(no label)" for row in evaluation.test_rows.rows]
    page: str = environment.get_template(TEMPLATE).render(
        title=f"Evaluation of {report.get('model', {}).get('name', 'a model')}",
        style=style,
        style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        report=report,
        facts=facts_of(report, origin),
        options=options_of(report),
        titles=TITLES,
        figures={name: _figures(name, task, evaluation) for name, task in report["tasks"].items()},
        confusions={name: _confusion(name, task, evaluation) for name, task in report["tasks"].items()},
        mistake_pictures=mistake_pictures,
        mistakes_per_task=mistakes_per_task,
        map=embedding_map(evaluation.test_rows.features, names, seed),
        json_file=json_file,
        limits={
            "rows": FEWEST_ROWS,
            "groups": FEWEST_GROUPS,
            "pooled": FEWEST_POOLED,
            "bad_rows": MOST_BAD_ROWS,
            "matrix": confusion.MOST_LABELS,
            "shades": confusion.SHADES,
        },
    )
    return page


def _environment() -> Any:
    jinja2 = extra("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "words": words, "headlines": headlines, "number": number, "signed": signed, "slug": slug, "marked": _marked,
    }  # fmt: skip
    return environment


def _figures(name: str, task: Mapping[str, Any], evaluation: Evaluation) -> list[Picture]:
    """The figures of a task."""
    if name == "regression" and evaluation.predictions:
        return [regression_scatter(*evaluation.predictions, task["target"])]
    scored = evaluation.classifications.get(name)
    if scored is None:
        return []
    curves = roc_curves(scored, task["metrics"].get("macro_auc", {}).get("value"))
    return [curves, calibration_curve(scored)] if "calibration" in task else [curves]


def _confusion(name: str, task: Mapping[str, Any], evaluation: Evaluation) -> Confusion | None:
    counts = task.get("confusion")
    return confusion_of(evaluation.classifications[name].labels, counts) if counts else None


def _marked(groups: Mapping[str, Any], names: list[str]) -> int:
    """Number of differences of subgroups whose interval excludes 0."""
    intervals = [
        entry["metrics"][name]["difference"]["interval"]
        for entry in groups.values()
        for name in names
        if name in entry.get("metrics", {})
    ]
    return sum(low is not None and (low > 0 or high < 0) for low, high in intervals)
