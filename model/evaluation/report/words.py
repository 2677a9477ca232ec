"""Words of the page: names of tasks, metrics and facts, and formats of numbers."""

import re
from collections.abc import Mapping
from typing import Any

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
MOST_HEADLINES = 3
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
_WORDS = {"called": "predicted", "auc": "AUC", "f1": "F1", "sha256": "SHA-256", "jpeg": "JPEG", "dicom": "DICOM"}


def words(name: str) -> str:
    """A name of the report as words: `macro_auc` is "macro AUC"."""
    return " ".join(_WORDS.get(word, word) for word in name.split("_"))


def headlines(metrics: Mapping[str, Any]) -> list[str]:
    """The metrics of a task that the overview shows."""
    return [name for name in HEADLINES if name in metrics][:MOST_HEADLINES]


def number(value: Any) -> str:
    """A number with three decimals; whole numbers and texts as they are, and a dash for none."""
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else plain(value)


def signed(value: float | None) -> str:
    """A difference with its sign."""
    return "–" if value is None else f"{value:+.3f}"


def plain(value: Any) -> str:
    """A value of an option: lists without brackets, yes and no instead of True and False."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    return "not set" if value in (None, "") else str(value)


def slug(name: str) -> str:
    """An id for a link: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
