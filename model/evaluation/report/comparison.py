"""Comparison of two evaluations of the same rows, from their reports.

Two models that are tested on the same patients are right and wrong on many of the same images. So the interval of their
difference comes from the differences draw by draw (a paired bootstrap, Efron and Tibshirani 1993, "An introduction to
the bootstrap"). It is narrower than the two intervals beside each other suggest. The reports keep the deviations of
their draws for it.
"""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from model.errors import ReportError
from model.evaluation.statistics.draws import read_draws
from model.evaluation.statistics.intervals import Estimate, paired_difference

FORMAT = 2  # of report.json
LOWER_IS_BETTER = ("mean_absolute_error", "mean_absolute_error_of_the_median")

BETTER, WORSE, SAME = "better", "worse", "the same"
WITHIN_NOISE = "within noise"
OVERLAP, APART = "open: not paired, and the intervals overlap", "apart: not paired, but the intervals do not overlap"
NO_INTERVAL = "open: no interval"


def read_report(path: Path) -> dict[str, Any]:
    """Read a report.json.

    Raises:
        ReportError: it is not a report of `medimageinsight evaluate`, or one of an older version.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        is_report = isinstance(report["tasks"], dict) and isinstance(report["data"], dict)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError(f"{path} is not a report.json of medimageinsight evaluate") from error
    if not is_report or report.get("format") != FORMAT:
        raise ReportError(
            f"{path} is not a report.json of this version of medimageinsight evaluate; evaluate that model again"
        )
    return report


def require_comparable(data: Mapping[str, Any], tasks: Collection[str], other: Mapping[str, Any]) -> None:
    """Raise ReportError if a report that is still to be made cannot be compared with another one.

    Args:
        data: `data` of the report.
        tasks: the entries that its `tasks` may get.
        other: the other report, as `read_report` returns it.
    """
    common = {name: task for name, task in other["tasks"].items() if name in tasks}
    compare({**other, "data": data, "tasks": common}, other)  # finds other data and damage
    if not common:
        raise ReportError("the other report has none of these tasks; evaluate both models with the same --tasks")


def _require_same_data(data: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    mine, theirs = data["file"], other["data"].get("file", {})
    if mine["sha256"] != theirs.get("sha256"):
        raise ReportError(
            f"the other report is about other rows: its {theirs.get('name')} has another content than {mine['name']}; "
            "evaluate both models with the same --data"
        )


def compare(report: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Compare a report with another one on the same data.

    Args:
        report: content of report.json.
        other: content of the other one, as `read_report` returns it.

    Returns:
        JSON object with `model` (that of the other report), `changed` (what else differs between the evaluations: name
        -> both values), and `tasks`: task -> `note`, or `paired` and `metrics`, with `value`, `other`, `difference`,
        `interval` of the difference, and `finding` of each metric.

    Raises:
        ReportError: the data differ, or the other report is damaged.
    """
    _require_same_data(report["data"], other)
    names = dict.fromkeys([*report["tasks"], *other["tasks"]])
    try:
        return {
            "model": other.get("model", {}),
            "changed": _changed(report, other),
            "tasks": {name: _compare_task(name, report, other) for name in names},
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportError("the other report is damaged; evaluate that model again") from error


def _changed(report: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What differs between two evaluations beside their results: name -> both values."""
    mine, theirs = _settings_of(report), _settings_of(other)
    return {
        name: [mine.get(name), theirs.get(name)]
        for name in dict.fromkeys([*mine, *theirs])
        if mine.get(name) != theirs.get(name)
    }


def _settings_of(report: Mapping[str, Any]) -> dict[str, Any]:
    files = {f"{name} file": entry["sha256"] for name, entry in report["data"].items() if name != "file"}
    options = {name: value for name, value in report.get("options", {}).items() if name not in ("by", "tasks")}
    as_read: dict[str, Any] = json.loads(json.dumps(options))
    return {"version": report.get("version"), "train rows": report["training"]["rows"], **files, **as_read}


def _compare_task(name: str, report: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    mine, theirs = report["tasks"].get(name), other["tasks"].get(name)
    if mine is None or theirs is None:
        return {"note": f"only {'the other' if mine is None else 'this'} report has this task"}
    if mine["rows_sha256"] != theirs["rows_sha256"] or report["labels"] != other["labels"]:
        rows = f"{mine['rows']} rows here, {theirs['rows']} in the other report"
        return {"note": f"not compared: the rows, their groups or their labels differ ({rows})"}
    if mine.get("target") != theirs.get("target"):
        return {"note": "not compared: the target columns differ"}
    draws = [source["draws"].get(name, {}) for source in (report, other)]
    is_paired = all(report["options"][key] == other["options"][key] for key in ("samples", "seed"))
    metrics = {
        metric: _compare_metric(metric, entry, theirs["metrics"][metric], draws if is_paired else [{}, {}])
        for metric, entry in mine["metrics"].items()
        if metric in theirs["metrics"]
    }
    return {"paired": is_paired, "metrics": metrics}


def _compare_metric(
    metric: str, mine: Mapping[str, Any], theirs: Mapping[str, Any], draws: list[dict[str, str]]
) -> dict[str, Any]:
    value, other = mine["value"], theirs["value"]
    both = {"value": value, "other": other}
    if value is None or other is None or mine.get("labels") != theirs.get("labels"):
        return both | {"difference": None, "interval": [None, None], "finding": NO_INTERVAL}
    if metric not in draws[0] or metric not in draws[1]:
        finding = _finding_of_two(mine["interval"], theirs["interval"])
        return both | {"difference": value - other, "interval": [None, None], "finding": finding}
    found = paired_difference(value, read_draws(draws[0][metric]), other, read_draws(draws[1][metric]))
    return both | {
        "difference": value - other,
        "interval": found.as_json()["interval"],
        "finding": _finding(found, lower_is_better=metric in LOWER_IS_BETTER),
    }


def _finding(difference: Estimate, *, lower_is_better: bool) -> str:
    if math.isnan(difference.low):
        return NO_INTERVAL
    if difference.low == difference.high == 0:
        return SAME
    if difference.low <= 0 <= difference.high:
        return WITHIN_NOISE
    return BETTER if (difference.value < 0) == lower_is_better else WORSE


def _finding_of_two(interval: list[float | None], other: list[float | None]) -> str:
    (low, high), (other_low, other_high) = interval, other
    if low is None or high is None or other_low is None or other_high is None:
        return NO_INTERVAL
    return OVERLAP if low <= other_high and other_low <= high else APART
