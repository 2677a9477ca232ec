"""Prompts of labels: texts that state a label and, optionally, texts that state its absence."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from model.errors import ManifestError

Prompts = Mapping[str, "LabelPrompts"]


@dataclass(frozen=True)
class LabelPrompts:
    """The prompts of one label.

    Attributes:
        present: texts that state the label, at least one.
        absent: texts that state its absence; may be empty.
    """

    present: tuple[str, ...]
    absent: tuple[str, ...] = ()


def as_prompts(given: Mapping[str, Any]) -> Prompts:
    """Prompts from a mapping of labels to values.

    Each value is a text, a list of texts, `{"present": …, "absent": …}` with such values, or a `LabelPrompts`.

    Raises:
        ManifestError: a label has no text, or a value has another form.
    """
    return {str(label): _label_prompts(str(label), value) for label, value in given.items()}


def read_prompts(path: Path) -> Prompts:
    """Read prompts from a file.

    JSON and YAML files hold a mapping as `as_prompts` takes it. CSV files have the columns `label`, `prompt` and,
    optionally, `absent`; a label with several prompts has several lines.

    Raises:
        ManifestError: the file cannot be read or has another form.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = _from_csv(text) if path.suffix.lower() == ".csv" else yaml.safe_load(text)  # YAML includes JSON
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error, KeyError) as error:
        raise ManifestError(f"the prompts file {path.name} cannot be read as JSON, YAML or CSV") from error
    if not isinstance(content, Mapping) or not content:
        raise ManifestError(f"the prompts file {path.name} must map labels to prompts")
    return as_prompts(content)


def _label_prompts(label: str, value: Any) -> LabelPrompts:
    if isinstance(value, LabelPrompts):
        return value
    if isinstance(value, Mapping):
        unknown = set(value) - {"present", "absent"}
        if unknown:
            raise ManifestError(f"the prompts of {label!r} have keys other than present and absent")
        absent = value.get("absent") or ()
        return LabelPrompts(_texts(label, value.get("present")), _texts(label, absent) if absent else ())
    return LabelPrompts(_texts(label, value))


def _texts(label: str, value: Any) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else (None,)
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ManifestError(f"the prompts of {label!r} must be a text or a list of texts")
    return texts


def _from_csv(text: str) -> dict[str, dict[str, list[str]]]:
    prompts: dict[str, dict[str, list[str]]] = {}
    for line in csv.DictReader(text.splitlines()):
        entry = prompts.setdefault(line["label"], {"present": [], "absent": []})
        entry["present"] += [line["prompt"]] if line["prompt"] else []
        entry["absent"] += [line["absent"]] if line.get("absent") else []
    return prompts
