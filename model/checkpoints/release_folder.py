"""Search for the files of a model in a release folder, in each layout in which releases are distributed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.encoders.tokenizer import VOCABULARY_FILES
from model.errors import CheckpointError

CONFIG_FILE = "config.yaml"
AZURE_FOLDER = ("artifacts", "checkpoints")
DEMO_MODEL = Path(__file__).resolve().parents[1] / "demo_model"
_WEIGHTS_SUFFIXES = (".pt", ".safetensors", ".pth", ".bin")  # the released .pt file is a safetensors file
# Searched below the given path: the path itself, the release in a folder, and the MLflow folder of Azure.
_RELEASES_BELOW = (
    "",
    "*",
    "artifacts/checkpoints",
    "artifacts/checkpoints/*",
    "*/artifacts/checkpoints",
    "*/artifacts/checkpoints/*",
)


@dataclass(frozen=True)
class ReleaseFolder:
    """Paths of the files of one model."""

    config: Path
    weights: Path
    tokenizer: Path  # the folder with vocab.json and merges.txt

    @property
    def name(self) -> str:
        """The name of the release folder, such as `2024.09.27`."""
        return self.config.parent.name

    @property
    def azure_folder(self) -> Path | None:
        """The folder `artifacts/checkpoints` of Azure's MLflow folder, if it is the release or holds it."""
        folder = self.config.parent.absolute()
        return next((place for place in (folder, folder.parent) if place.parts[-2:] == AZURE_FOLDER), None)

    @property
    def is_demonstration(self) -> bool:
        """Whether this is the demonstration model, which is part of the package."""
        return self.config.resolve().parent == DEMO_MODEL

    def weights_sha256(self) -> str:
        """The hexadecimal sha256 of the weights file. Takes about one second per GB.

        Raises:
            CheckpointError: the file cannot be read.
        """
        try:
            with self.weights.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise CheckpointError(f"{self.weights.name} cannot be read ({error.strerror})") from error


def find_release_folder(path: Path) -> ReleaseFolder:
    """Find the files of a model.

    Args:
        path: a release folder, a folder that contains one, the MLflow folder of Azure, or a weights file.

    Raises:
        CheckpointError: `path` does not exist or cannot be read, a file of the model is missing, or there are several
            models.
    """
    try:
        return _find(path)
    except OSError as error:
        raise CheckpointError(f"{error.filename or path} cannot be read ({error.strerror})") from error


def _find(path: Path) -> ReleaseFolder:
    if path.is_file():
        return _from_weights_file(path)
    if not path.is_dir():
        raise CheckpointError(f"no model at {path}: give a release folder, a weights file or a Hugging Face id")
    releases = sorted({config.parent.resolve(): config.parent for config in _configs_below(path)}.values())
    if not releases:
        raise CheckpointError(f"no {CONFIG_FILE} in {path}, its subfolders or its artifacts/checkpoints")
    if len(releases) > 1:
        names = ", ".join(release.name for release in releases)
        raise CheckpointError(f"{path} contains several models ({names}): give the path of one")
    return _from_release(releases[0])


def _configs_below(path: Path) -> Iterator[Path]:
    if (path / CONFIG_FILE).is_file():
        yield path / CONFIG_FILE
        return
    for pattern in _RELEASES_BELOW[1:]:
        yield from (config for config in path.glob(f"{pattern}/{CONFIG_FILE}") if config.is_file())


def _from_release(release: Path) -> ReleaseFolder:
    weights = _files_with_suffix(release / "vision_model") or _files_with_suffix(release)
    if not weights:
        raise CheckpointError(f"{release} has no weights file: vision_model/*.pt or *.safetensors is needed")
    if len(weights) > 1:
        names = ", ".join(file.name for file in weights)
        raise CheckpointError(f"{release} contains several weights files ({names}): give the path of one")
    return ReleaseFolder(release / CONFIG_FILE, weights[0], _tokenizer_of(release))


def _from_weights_file(weights: Path) -> ReleaseFolder:
    for release in (weights.parent, weights.parent.parent):
        if (release / CONFIG_FILE).is_file():
            return ReleaseFolder(release / CONFIG_FILE, weights, _tokenizer_of(release))
    raise CheckpointError(f"no {CONFIG_FILE} in the folder of {weights.name} or in its parent folder")


def _tokenizer_of(release: Path) -> Path:
    for folder in (*_entries(release / "language_model"), release / "language_model", release):
        if all((folder / name).is_file() for name in VOCABULARY_FILES):
            return folder
    raise CheckpointError(
        f"{release} has no tokenizer: a folder language_model/*/ with {' and '.join(VOCABULARY_FILES)} is needed"
    )


def _files_with_suffix(folder: Path) -> list[Path]:
    return [file for file in _entries(folder) if file.suffix in _WEIGHTS_SUFFIXES and file.is_file()]


def _entries(folder: Path) -> list[Path]:
    """The sorted entries of a folder, none if it does not exist; `glob` would hide that it cannot be read."""
    return sorted(folder.iterdir()) if folder.is_dir() else []
