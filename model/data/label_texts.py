"""Label texts: the wordings of each label, from a JSON or YAML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from model.data.text_lines import read_yaml
from model.errors import ManifestError

LabelTexts = Mapping[str, Sequence[str]]  # label to its wordings


def read_label_texts(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a JSON or YAML file that maps each label to one wording or to a list of wordings.

    Raises:
        ManifestError: the file cannot be read, or has another structure.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ManifestError(f"{path} must map each label to its wordings")
    texts: dict[str, tuple[str, ...]] = {}
    for number, (label, value) in enumerate(document.items(), start=1):
        wordings = [value] if isinstance(value, str) else value
        if not isinstance(wordings, list) or not wordings or not all(isinstance(text, str) for text in wordings):
            raise ManifestError(f"{path}: label number {number} must have a wording or a list of wordings")
        texts[str(label)] = tuple(wordings)
    return texts
