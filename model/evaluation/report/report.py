"""Files of an evaluation: report.json with every number, and report.html for readers."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from model.evaluation.evaluator import Evaluation
from model.evaluation.report.comparison import FORMAT, compare
from model.evaluation.report.facts import Origin
from model.evaluation.report.mistakes import MistakePictures
from model.evaluation.report.page import render_page
from model.output_file import OutputFile, open_folder

JSON_FILE, HTML_FILE = "report.json", "report.html"


class ReportFiles:
    """The two open files of a report."""

    def __init__(self, json_file: OutputFile, html_file: OutputFile) -> None:
        self._json, self._html = json_file, html_file

    def write(
        self,
        evaluation: Evaluation,
        facts: Mapping[str, Any],
        *,
        seed: int = 0,
        origin: Origin | None = None,
        other: Mapping[str, Any] | None = None,
        mistakes: MistakePictures | None = None,
    ) -> dict[str, Any]:
        """Write both files. Returns the content of report.json.

        Args:
            evaluation: the finished evaluation.
            facts: JSON objects on the model, the data and the options, for the head of the report.
            seed: seed of the map of the embeddings.
            origin: how the page is made; default None does not say it.
            other: content of another report to compare this one with; default None: no comparison.
            mistakes: which mistakes get a picture; default None: no pictures, because they may show patients.

        Raises:
            ExtraMissing: jinja2, matplotlib or scikit-learn is not installed.
            OutputError: a file cannot be written.
            ReportError: the other report cannot be compared with this one.
        """
        report = {"format": FORMAT, **facts, **evaluation.report}
        if other is not None:
            report["comparison"] = compare(report, other)
        pictures = mistakes.draw(report["tasks"], evaluation.test_rows.rows) if mistakes else {}
        page = render_page(
            report,
            evaluation,
            seed=seed,
            json_file=JSON_FILE,
            origin=origin,
            mistake_pictures=pictures,
            mistakes_per_task=mistakes.count if mistakes else 0,
        )
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
        for file, content in ((self._json, text + "\n"), (self._html, page)):
            file.write(partial(_write_text, content))
        return report


@contextmanager
def open_report(folder: Path) -> Iterator[ReportFiles]:
    """Open the files of a report, before the work whose results they get. A file is replaced only when it is complete.

    Args:
        folder: folder of the files; created if it is missing.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    is_new = not folder.exists()
    open_folder(folder)
    try:
        with ExitStack() as stack:
            json_file, html_file = (stack.enter_context(OutputFile(folder / name)) for name in (JSON_FILE, HTML_FILE))
            yield ReportFiles(json_file, html_file)
    except BaseException:
        if is_new:
            with suppress(OSError):  # a folder that is not empty stays
                folder.rmdir()
        raise


def write_report(evaluation: Evaluation, facts: Mapping[str, Any], folder: Path, **options: Any) -> dict[str, Any]:
    """Open the files of a report and write them, with the options of `ReportFiles.write`."""
    with open_report(folder) as files:
        return files.write(evaluation, facts, **options)


def _write_text(content: str, path: Path) -> None:
    # A text of the manifest may have half of a surrogate pair, which UTF-8 lacks.
    path.write_text(content, encoding="utf-8", errors="backslashreplace")
