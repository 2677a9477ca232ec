"""Facts at the head of the page: how it was made, and what was evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from model.evaluation.report.words import plain, words

Facts = list[tuple[str, str]]
_FILES = {"file": "test rows", "train": "train rows", "prompts": "prompts"}


@dataclass(frozen=True)
class Origin:
    """How the page was made. It is not in report.json, which is the same for the same evaluation.

    Args:
        time: when.
        command: the command line, without secrets.
    """

    time: datetime
    command: str


def facts_of(report: Mapping[str, Any], origin: Origin | None) -> Facts:
    """Name and text of each fact for the reader of the page."""
    facts: Facts = []
    if origin:
        facts.append(("made", f"{origin.time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"))
    if report.get("version"):
        facts.append(("made by", f"MedImageInsight Server {report['version']}"))
    if origin:
        facts.append(("command", origin.command))
    facts += [(f"model, {words(name)}", plain(value)) for name, value in report.get("model", {}).items()]
    for name, file in report.get("data", {}).items():
        facts.append((f"file of the {_FILES.get(name, name)}", f"{file['name']} (SHA-256 {file['sha256']})"))
    training = report["training"]
    facts.append(("number of test rows", str(report["rows"])))
    dropped = training["dropped_for_overlap"]
    reason = f", {dropped} dropped because they share a group or an image with a test row" if dropped else ""
    facts.append(("number of train rows", f"{training['rows']}{reason}"))
    return facts


def options_of(report: Mapping[str, Any]) -> Facts:
    """Name and text of each option of the evaluation that is set."""
    options = report.get("options", {}).items()
    return [(words(name), plain(value)) for name, value in options if value or value == 0]
