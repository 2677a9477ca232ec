"""Files of an evaluation: report.json with every number, and report.html for readers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.evaluation.evaluator import Evaluation
from model.evaluation.report.html import render_html

JSON_FILE, HTML_FILE = "report.json", "report.html"
FORMAT = 1


def write_report(evaluation: Evaluation, facts: Mapping[str, Any], folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write both files. Returns the content of report.json.

    Args:
        evaluation: the finished evaluation.
        facts: JSON objects on the model, the data and the options, for the head of the report.
        folder: folder of the files; created if it is missing.
        seed: seed of the map of the embeddings.

    Raises:
        ExtraMissing: jinja2, matplotlib or scikit-learn is not installed.
    """
    report = {"format": FORMAT, **facts, **evaluation.report}
    page = render_html(report, evaluation, seed, JSON_FILE)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")
    (folder / HTML_FILE).write_text(page, encoding="utf-8")
    return report
