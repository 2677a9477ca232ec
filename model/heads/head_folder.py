"""Files of a head: a folder with `head.json` and `head.safetensors`; adapters of earlier versions are read too."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError
from safetensors.torch import load, save_file

from model.errors import HeadError
from model.heads.head import LABELS_RULE, Head, Kind, are_labels
from model.heads.scorers.azure_adapter import AzureAdapterScorer
from model.heads.scorers.layers import LayersScorer
from model.heads.scorers.scorer import Activation, Scorer, Tensors, require_numbers
from model.heads.scorers.svm import SvmScorer
from model.heads.scorers.zero_shot import ZeroShotScorer
from model.imaging.preprocessing import Preprocessing
from model.output_file import open_folder, write_file

WEIGHTS_FILE, FACTS_FILE = "head.safetensors", "head.json"
OLD_WEIGHTS_FILE, OLD_FACTS_FILE = "adapter.safetensors", "adapter.json"
FORMAT = 1
_SCORERS: dict[Kind, type[Scorer]] = {
    "zero_shot": ZeroShotScorer,
    "linear": LayersScorer,
    "mlp": LayersScorer,
    "svm": SvmScorer,
    "azure_adapter": AzureAdapterScorer,
}
# Exactly these keys: a file of a later format, or one that names other files, is refused.
_KEYS = {"format", "kind", "labels", "activation", "model", "preprocessing", "thresholds", "details"}


def save_head(head: Head, folder: Path) -> None:
    """Write a head's two files into a folder, which is created if it is missing.

    A failure to write leaves the old head. A killed process leaves the old head, the new one, or none that `load_head`
    accepts.

    Raises:
        OutputError: a file cannot be written.
    """
    facts = {
        "format": FORMAT,
        "kind": head.kind,
        "labels": head.labels,
        "activation": head.activation,
        "model": head.model,
        "preprocessing": head.preprocessing.params(),
        "thresholds": head.thresholds,
        "details": head.details,
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    tensors = head.scorer.tensors()

    def write_weights(path: Path) -> None:
        save_file(tensors, path)
        # Both new files are complete now. The facts of one head never lie beside another's weights, and files that
        # replace none have the same mode.
        for name in (FACTS_FILE, WEIGHTS_FILE):
            (folder / name).resolve().unlink(missing_ok=True)

    def write_facts(path: Path) -> None:
        path.write_text(text, encoding="utf-8")
        write_file(folder / WEIGHTS_FILE, write_weights)

    open_folder(folder)
    write_file(folder / FACTS_FILE, write_facts)


def load_head(folder: Path) -> Head:
    """Read a head, or an adapter of an earlier version, from its folder.

    Raises:
        HeadError: a file is missing or damaged, the two files do not match, or a weight or a threshold is not finite;
            the message names the folder.
    """
    try:
        is_old = not (folder / FACTS_FILE).exists() and (folder / OLD_FACTS_FILE).exists()
        facts_file, weights_file = (OLD_FACTS_FILE, OLD_WEIGHTS_FILE) if is_old else (FACTS_FILE, WEIGHTS_FILE)
        facts = json.loads((folder / facts_file).read_text(encoding="utf-8"))
        # From bytes: `load_file` refuses a path that is not UTF-8.
        tensors = load((folder / weights_file).read_bytes())
        return _head(_renewed(facts) if is_old else facts, tensors)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise HeadError(f"{folder} has no head: {FACTS_FILE} and {WEIGHTS_FILE} are needed") from error
    except OSError as error:
        raise HeadError(f"the head in {folder} cannot be read ({error.strerror})") from error
    except HeadError as error:
        raise HeadError(f"the head in {folder} cannot be used: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError, RuntimeError, RecursionError) as error:
        raise HeadError(f"the head in {folder} is damaged; make it again") from error


def _head(facts: Any, tensors: Tensors) -> Head:
    if not isinstance(facts, Mapping) or facts.get("format") != FORMAT or facts.keys() != _KEYS:
        raise HeadError(f"{FACTS_FILE} does not have exactly the keys of format {FORMAT}; make the head again")
    kind, activation, labels = facts["kind"], facts["activation"], facts["labels"]
    if kind not in _SCORERS or activation not in get_args(Activation):
        raise HeadError(f"{FACTS_FILE} names a kind or an activation that does not exist")
    if not are_labels(labels):
        raise HeadError(f"the labels in {FACTS_FILE} must be {LABELS_RULE}")
    if kind in ("zero_shot", "azure_adapter") and activation != "softmax":
        raise HeadError(f"a head of the kind {kind} has the activation softmax")
    if activation == "identity" and len(labels) > 1:
        raise HeadError(
            f"{FACTS_FILE} has {len(labels)} labels, but a head that predicts a number has only one: the number's name"
        )
    for name in ("model", "details"):
        if not isinstance(facts[name], Mapping):
            raise HeadError(f"{name} in {FACTS_FILE} must be an object")
    _require_thresholds(facts["thresholds"])
    for name, tensor in tensors.items():
        require_numbers(name, tensor)
    scorer = _SCORERS[kind].from_tensors(tensors, activation)
    if scorer.label_count != len(labels):
        raise HeadError(f"{FACTS_FILE} has {len(labels)} labels, but {WEIGHTS_FILE} is made for {scorer.label_count}")
    preprocessing = Preprocessing.from_params(facts["preprocessing"])
    model, thresholds, details = (facts[key] for key in ("model", "thresholds", "details"))
    return Head(kind, tuple(labels), activation, scorer, model, preprocessing, thresholds, details)


def _require_thresholds(thresholds: Any) -> None:
    """Raise HeadError unless each label has its operating points, each of them None or made of finite numbers."""
    is_mapping = isinstance(thresholds, Mapping) and all(isinstance(own, Mapping) for own in thresholds.values())
    points = [point for own in thresholds.values() for point in own.values()] if is_mapping else [thresholds]
    if not all(point is None or _is_point(point) for point in points):
        raise HeadError(
            f"thresholds in {FACTS_FILE} must have, per label, the operating points youden and sensitivity_90, "
            "each null or an object of finite numbers with a threshold"
        )


def _is_point(point: Any) -> bool:
    return isinstance(point, Mapping) and "threshold" in point and all(map(_is_finite, point.values()))


def _is_finite(value: Any) -> bool:
    """Whether a value is a finite number; a whole number may be too large for a float."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _renewed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an adapter of an earlier version, as a head's."""
    if facts["format"] != 1:
        raise HeadError(f"{OLD_FACTS_FILE} has an unknown format; train the adapter again")
    preprocessing = {"image_standardization_jpeg_compression_ratio": 0} if facts["model"].get("plain") else {}
    return {
        "format": FORMAT,
        "kind": "linear" if len(facts["sizes"]) == 2 else "mlp",
        "labels": facts["labels"],
        "activation": "softmax" if facts["one_label_a_row"] else "sigmoid",
        "model": {key: facts["model"].get(key) for key in ("name", "weights_sha256")},
        "preprocessing": preprocessing,
        "thresholds": facts["thresholds"],
        "details": facts["training"],
    }
