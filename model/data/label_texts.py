"""Label texts: the wordings of each label, from a JSON or YAML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from model.errors import ManifestError

LabelTexts = Mapping[str, Sequence[str]]  # label to its wordings


def read_label_texts(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a JSON or YAML file that maps each label to one wording or to a list of wordings.

    Raises:
        ManifestError: the file cannot be read, or has another structure.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ManifestError(f"{path.name} cannot be read as JSON or YAML") from error
    if not isinstance(document, dict):
        raise ManifestError(f"{path.name} must map each label to its wordings")
    texts: dict[str, tuple[str, ...]] = {}
    for number, (label, value) in enumerate(document.items(), start=1):
        wordings = [value] if isinstance(value, str) else value
        if not isinstance(wordings, list) or not wordings or not all(isinstance(text, str) for text in wordings):
            raise ManifestError(f"{path.name}: label number {number} must have a wording or a list of wordings")
        texts[str(label)] = tuple(wordings)
    return texts
