"""Where the parts of a model lie: the release folder, in the shapes that it is handed around in."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.encoders.tokenizer import VOCABULARY_FILES
from model.errors import CheckpointError

CONFIG_FILE = "config.yaml"
DEMO_MODEL = Path(__file__).resolve().parents[1] / "demo_model"
_WEIGHTS_SUFFIXES = (".pt", ".safetensors", ".pth", ".bin")  # the released weights are safetensors under .pt
# Below the folder that was named: itself, the folder around a release, and Azure's MLflow folder.
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
    """The files of one model."""

    config: Path
    weights: Path
    tokenizer: Path  # a folder with vocab.json and merges.txt

    @property
    def name(self) -> str:
        return self.config.parent.name

    @property
    def is_demonstration(self) -> bool:
        """Whether this is the small model that comes with the package."""
        return self.config.resolve().parent == DEMO_MODEL

    def weights_sha256(self) -> str:
        """The hexadecimal sha256 of the weights; about a second per GB."""
        with self.weights.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def find_release_folder(path: Path) -> ReleaseFolder:
    """Find a model's files from a release folder, a folder around one, Azure's MLflow folder, or a weights file.

    Raises:
        CheckpointError: nothing is there, a part is missing, or there are several to choose from.
    """
    if path.is_file():
        return _from_weights_file(path)
    if not path.is_dir():
        raise CheckpointError(f"no model at {path}: name a release folder, a weights file or a Hugging Face id")
    releases = sorted({config.parent.resolve(): config.parent for config in _configs_below(path)}.values())
    if not releases:
        raise CheckpointError(f"no {CONFIG_FILE} in {path}, in a folder of it, or in artifacts/checkpoints of it")
    if len(releases) > 1:
        names = ", ".join(release.name for release in releases)
        raise CheckpointError(f"{path} holds several models ({names}): name one of them")
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
        raise CheckpointError(f"{release} has no weights: vision_model/*.pt or *.safetensors is needed")
    if len(weights) > 1:
        names = ", ".join(file.name for file in weights)
        raise CheckpointError(f"{release} holds several weights files ({names}): name one of them instead")
    return ReleaseFolder(release / CONFIG_FILE, weights[0], _tokenizer_of(release))


def _from_weights_file(weights: Path) -> ReleaseFolder:
    for release in (weights.parent, weights.parent.parent):
        if (release / CONFIG_FILE).is_file():
            return ReleaseFolder(release / CONFIG_FILE, weights, _tokenizer_of(release))
    raise CheckpointError(f"no {CONFIG_FILE} beside {weights.name} or in the folder around it")


def _tokenizer_of(release: Path) -> Path:
    for folder in (*sorted((release / "language_model").glob("*")), release / "language_model", release):
        if all((folder / name).is_file() for name in VOCABULARY_FILES):
            return folder
    raise CheckpointError(
        f"{release} has no tokenizer: language_model/*/ with {' and '.join(VOCABULARY_FILES)} is needed"
    )


def _files_with_suffix(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix in _WEIGHTS_SUFFIXES and file.is_file())
