"""The layouts in which the folder of a model is distributed."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from model.checkpoints.release_folder import ReleaseFolder, find_release_folder
from model.errors import CheckpointError

WEIGHTS = "vision_model/medimageinsigt-v1.0.0.pt"
TOKENIZER = "language_model/clip_tokenizer_4.16.2"
FILES = ("config.yaml", WEIGHTS, f"{TOKENIZER}/vocab.json", f"{TOKENIZER}/merges.txt")


def release_at(folder: Path, files: tuple[str, ...] = FILES) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def parts(release: Path, weights: str = WEIGHTS, tokenizer: str = TOKENIZER) -> ReleaseFolder:
    return ReleaseFolder(release / "config.yaml", release / weights, release / tokenizer)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        find_release_folder(path)
    return str(error.value)


@pytest.mark.parametrize(
    "around",
    [
        ".",
        "2024.09.27",
        "artifacts/checkpoints",
        "artifacts/checkpoints/2024.09.27",
        "mlflow_model_folder/artifacts/checkpoints",
        "mlflow_model_folder/artifacts/checkpoints/2024.09.27",
    ],
)
def test_a_release_folder_is_found_in_the_folders_around_it(tmp_path: Path, around: str) -> None:
    release = release_at(tmp_path / around)
    (tmp_path / "MLmodel").write_text("flavors:")
    assert find_release_folder(tmp_path) == parts(release)
    assert find_release_folder(release) == parts(release)


@pytest.mark.parametrize("around", ["artifacts/checkpoints", "artifacts/checkpoints/2024.09.27"])
def test_the_folder_of_azures_classifier_is_known_whichever_path_is_given(tmp_path: Path, around: str) -> None:
    release = release_at(tmp_path / around)
    for path in (tmp_path, release, release / WEIGHTS):
        assert find_release_folder(path).azure_folder == tmp_path / "artifacts" / "checkpoints"


@pytest.mark.parametrize("around", [".", "checkpoints", "artifacts", "artifacts/checkpoints/a/b"])
def test_another_folder_is_not_azures(tmp_path: Path, around: str) -> None:
    assert find_release_folder(release_at(tmp_path / around)).azure_folder is None


def test_deeper_folders_are_not_searched(tmp_path: Path) -> None:
    release_at(tmp_path / "my" / "models" / "2024.09.27")
    assert refusal(tmp_path) == (f"no config.yaml in {tmp_path}, its subfolders or its artifacts/checkpoints")


def test_a_release_folder_hides_what_is_below_it(tmp_path: Path) -> None:
    release_at(tmp_path)
    release_at(tmp_path / "older")
    assert find_release_folder(tmp_path) == parts(tmp_path)


def test_a_weights_file_is_used_with_the_config_beside_it_or_around_it(tmp_path: Path) -> None:
    release = release_at(tmp_path)
    assert find_release_folder(release / WEIGHTS) == parts(release)
    (release / "vision_model" / "epoch2.safetensors").touch()
    (release / "best.safetensors").touch()
    for weights in ("vision_model/epoch2.safetensors", "best.safetensors"):
        assert find_release_folder(release / weights) == parts(release, weights)


@pytest.mark.parametrize("weights", ["model.safetensors", "vision_model/weights.bin", "vision_model/model.pth"])
@pytest.mark.parametrize("tokenizer", [".", "language_model", "language_model/clip_tokenizer_v4162"])
def test_weights_and_vocabulary_may_lie_flat(tmp_path: Path, weights: str, tokenizer: str) -> None:
    release = release_at(tmp_path, ("config.yaml", weights, f"{tokenizer}/vocab.json", f"{tokenizer}/merges.txt"))
    assert find_release_folder(release) == parts(release, weights, tokenizer)


def linked(snapshot: Path, blobs: Path) -> Path:
    """A snapshot as in the Hugging Face cache: links into a folder of files that are named by their hash."""
    blobs.mkdir()
    for name in FILES:
        blob = blobs / hashlib.sha256(name.encode()).hexdigest()
        blob.write_text(name)
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(blob)
    return snapshot


def test_a_snapshot_of_links_is_a_release_folder(tmp_path: Path) -> None:
    snapshot = linked(tmp_path / "snapshots" / "0123abc", tmp_path / "blobs")
    assert find_release_folder(snapshot) == parts(snapshot)
    assert find_release_folder(tmp_path / "snapshots") == parts(snapshot)
    assert find_release_folder(snapshot / WEIGHTS) == parts(snapshot)


def test_a_link_to_a_release_beside_it_is_the_same_model(tmp_path: Path) -> None:
    release_at(tmp_path / "2024.09.27")
    (tmp_path / "current").symlink_to(tmp_path / "2024.09.27")
    assert find_release_folder(tmp_path).config.samefile(tmp_path / "2024.09.27" / "config.yaml")


@pytest.mark.parametrize("around", ["", "artifacts/checkpoints"])
def test_several_models_are_refused(tmp_path: Path, around: str) -> None:
    for name in ("2024.09.27", "finetuned"):
        release_at(tmp_path / around / name)
    assert refusal(tmp_path) == f"{tmp_path} contains several models (2024.09.27, finetuned): give the path of one"


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (WEIGHTS, "has no weights file: vision_model/*.pt or *.safetensors is needed"),
        (
            f"{TOKENIZER}/vocab.json",
            "has no tokenizer: a folder language_model/*/ with vocab.json and merges.txt is needed",
        ),
        (
            f"{TOKENIZER}/merges.txt",
            "has no tokenizer: a folder language_model/*/ with vocab.json and merges.txt is needed",
        ),
    ],
)
def test_a_missing_part_is_named(tmp_path: Path, missing: str, sentence: str) -> None:
    (release_at(tmp_path) / missing).unlink()
    assert refusal(tmp_path) == f"{tmp_path} {sentence}"


def test_several_weights_files_are_refused(tmp_path: Path) -> None:
    (release_at(tmp_path) / "vision_model" / "finetuned.safetensors").touch()
    assert refusal(tmp_path) == (
        f"{tmp_path} contains several weights files (finetuned.safetensors, medimageinsigt-v1.0.0.pt): "
        "give the path of one"
    )


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "no model at {}: give a release folder, a weights file or a Hugging Face id"),
        (Path.mkdir, "no config.yaml in {}, its subfolders or its artifacts/checkpoints"),
        (Path.touch, "no config.yaml in the folder of MODEL or in its parent folder"),
    ],
    ids=["no such path", "empty folder", "lonely file"],
)
def test_a_path_without_a_model_is_refused(tmp_path: Path, make: Callable[[Path], None], sentence: str) -> None:
    make(tmp_path / "MODEL")
    assert refusal(tmp_path / "MODEL") == sentence.format(tmp_path / "MODEL")


def test_weights_that_cannot_be_hashed_are_named(tmp_path: Path) -> None:
    release = ReleaseFolder(tmp_path / "config.yaml", tmp_path / "gone.safetensors", tmp_path)
    with pytest.raises(CheckpointError, match=r"gone.safetensors cannot be read \(No such file or directory\)"):
        release.weights_sha256()


def test_a_release_knows_its_name_and_its_hash(tmp_path: Path) -> None:
    release = find_release_folder(release_at(tmp_path / "2024.09.27"))
    assert release.name == "2024.09.27"
    assert release.weights_sha256() == hashlib.sha256(WEIGHTS.encode()).hexdigest()
