"""`serve` with a model that cannot be read: one line that says why, and status 2."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from app.inference.model_loader import load_engine
from app.settings import Settings
from model.errors import MedImageInsightError
from tests.support.console_script import CHECKOUT, SCRIPT, TIMEOUT_S

# Root may read every file; without these two capabilities, it may not.
UNPRIVILEGED = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def lines_of_serve(model: str) -> tuple[int, list[str]]:
    """The exit status and the lines of a server that cannot read its model."""
    environment = os.environ | CHECKOUT | {"MODEL": model, "PORT": "0", "LOG_FORMAT": "text"}
    command = [*UNPRIVILEGED, SCRIPT, "serve"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.skipif(bool(UNPRIVILEGED) and shutil.which("setpriv") is None, reason="root may read every file")
@pytest.mark.parametrize("closed", [".", "vision_model", "language_model", "vision_model/*", "language_model/*"])
def test_a_folder_without_permission_is_one_line_and_status_2(closed: str, small_release: Path, tmp_path: Path) -> None:
    release = tmp_path / "release"
    shutil.copytree(small_release, release)
    (place,) = [release] if closed == "." else release.glob(closed)
    place.chmod(0)
    try:
        status, lines = lines_of_serve(str(release))
    finally:
        place.chmod(0o755)
    assert status == 2
    (error,) = [line for line in lines if " ERROR " in line or "Traceback" in line]
    assert re.search(r"the service does not start: \S+ (cannot be read \(|cannot be opened: )Permission denied", error)


def overwrite(name: str, content: bytes) -> Callable[[Path], None]:
    """Replace the one file that a pattern names."""

    def damage(release: Path) -> None:
        (file,) = release.glob(name)
        file.unlink()
        file.write_bytes(content)

    return damage


def remove(name: str) -> Callable[[Path], None]:
    def damage(release: Path) -> None:
        (file,) = release.glob(name)
        file.unlink()

    return damage


def replace_by_folder(name: str) -> Callable[[Path], None]:
    def damage(release: Path) -> None:
        (file,) = release.glob(name)
        file.unlink()
        file.mkdir()

    return damage


WEIGHTS, VOCABULARY = "vision_model/*.pt", "language_model/*/vocab.json"
DAMAGED: list[tuple[Callable[[Path], None], str]] = [
    (overwrite("config.yaml", b"IMAGE_ENCODER: ["), "config.yaml cannot be read as YAML"),
    (overwrite("config.yaml", b"\xff\xfe\0\0"), "config.yaml cannot be read as YAML"),
    (overwrite("config.yaml", b"DATE: 2001-99-99"), "config.yaml cannot be read as YAML"),
    (overwrite("config.yaml", b"[" * 10_000), "config.yaml cannot be read as YAML"),
    (overwrite("config.yaml", b""), "config.yaml contains no mapping of keys"),
    (remove("config.yaml"), "no config.yaml in"),
    (overwrite(WEIGHTS, b"no weights at all"), "is not a complete safetensors file"),
    (overwrite(WEIGHTS, b""), "is not a complete safetensors file"),
    (overwrite(WEIGHTS, b"\x80\x02}q\0."), "is a pickle"),
    (remove(WEIGHTS), "has no weights file"),
    (replace_by_folder(WEIGHTS), "has no weights file"),
    (overwrite(VOCABULARY, b"{"), "no readable CLIP vocabulary"),
    (overwrite(VOCABULARY, b"[]"), "no readable CLIP vocabulary"),
    (overwrite("language_model/*/merges.txt", b"\xff\xfe"), "no readable CLIP vocabulary"),
    (remove(VOCABULARY), "has no tokenizer"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGED, ids=[f"{number}" for number in range(len(DAMAGED))])
def test_a_damaged_release_is_one_sentence(
    damage: Callable[[Path], None], sentence: str, small_release: Path, tmp_path: Path
) -> None:
    """Every `MedImageInsightError` of the loader ends the server with status 2, see tests/app/test_server.py."""
    release = tmp_path / "release"
    shutil.copytree(small_release, release)
    damage(release)
    with pytest.raises(MedImageInsightError) as error:
        load_engine(Settings(model=str(release)))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", ["~nobody-has-this-name/model", "/" + "x" * 300, "/dev/null", "/proc/self/mem/x"])
def test_a_name_that_cannot_be_a_model_is_one_sentence(model: str) -> None:
    with pytest.raises(MedImageInsightError, match=r"cannot be read|no model at|no config\.yaml in"):
        load_engine(Settings(model=model))
