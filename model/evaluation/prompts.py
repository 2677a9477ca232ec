"""Prompts of labels: texts that state a label and, optionally, texts that state its absence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.data.tables import read_records
from model.data.text_lines import read_yaml
from model.errors import ManifestError

Prompts = Mapping[str, "LabelPrompts"]

CATALOGUE_KEYS = frozenset({"title", "modality", "question", "source", "validated", "prompts"})


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
    optionally, `absent`; a label with several prompts has several lines. A file of the label catalogue
    (`model.heads.catalogue`) has the mapping under `prompts`, beside other keys of `CATALOGUE_KEYS`.

    Raises:
        ManifestError: the file cannot be read or has another form.
    """
    content = _from_csv(path) if path.suffix.lower() == ".csv" else read_yaml(path)
    if isinstance(content, Mapping) and content.keys() <= CATALOGUE_KEYS and "prompts" in content:
        content = content["prompts"]
    if not isinstance(content, Mapping) or not content:
        raise ManifestError(f"{path} must map labels to prompts")
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


def _from_csv(path: Path) -> dict[str, dict[str, list[str]]]:
    prompts: dict[str, dict[str, list[str]]] = {}
    for number, row in enumerate(read_records(path)):
        if missing := {"label", "prompt"} - row.keys():
            raise ManifestError(f"{path} lacks the column {min(missing)}")
        if not row["label"]:
            raise ManifestError(f"{path}: row {number} has no label")
        entry = prompts.setdefault(row["label"], {"present": [], "absent": []})
        for key, column in (("present", "prompt"), ("absent", "absent")):
            entry[key] += [row[column]] if row.get(column) else []
    return prompts
