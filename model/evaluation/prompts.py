"""What a label is called in words: one prompt or several a label, and, if wanted, prompts for its absence."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from model.embedder import Embedder
from model.errors import ManifestError

Prompts = Mapping[str, "LabelPrompts"]


@dataclass(frozen=True)
class LabelPrompts:
    """Texts that say a label, and texts that say that it is absent (may be empty)."""

    present: tuple[str, ...]
    absent: tuple[str, ...] = ()


def as_prompts(given: Mapping[str, Any]) -> Prompts:
    """Prompts from `{label: text}`, `{label: [texts]}` or `{label: {"present": …, "absent": …}}`, mixed at will.

    Raises:
        ManifestError: a label has no text, or something that is none.
    """
    return {str(label): _label_prompts(str(label), value) for label, value in given.items()}


def read_prompts(path: Path) -> Prompts:
    """Read prompts from JSON or YAML (see `as_prompts`), or from CSV with the columns `label`, `prompt` and,
    optionally, `absent`; a label with several prompts has several lines.

    Raises:
        ManifestError: not such a file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = _from_csv(text) if path.suffix.lower() == ".csv" else yaml.safe_load(text)  # YAML holds JSON
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error, KeyError) as error:
        raise ManifestError(f"the prompts file {path.name} cannot be read as JSON, YAML or CSV") from error
    if not isinstance(content, Mapping) or not content:
        raise ManifestError(f"the prompts file {path.name} must map labels to prompts")
    return as_prompts(content)


def label_features(embedder: Embedder, texts: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """One unit vector a label: the mean of its texts' embeddings (Radford et al. 2021, section 3.1.4), (L, D)."""
    flat = [text for group in texts for text in group]
    features = embedder.texts(flat)
    ends = np.cumsum([len(group) for group in texts])
    means = np.stack([part.mean(axis=0) for part in np.split(features, ends[:-1])])
    unit: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


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
