"""The command `download`: checksums, and the folder that it copies a model to."""

import subprocess
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from app.cli.download import copy_with_checksums
from app.cli.main import main
from model.errors import CheckpointError
from tests.support.console_script import run_script
from tests.support.servers.serving import serving
from tests.support.servers.standin_hub import CONFIG, REPO, StandinHub


def test_a_downloaded_model_is_copied_with_checksums(small_release: Path, tmp_path: Path) -> None:
    folder = copy_with_checksums(small_release, tmp_path / "usb" / "model")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK") == len([path for path in small_release.rglob("*") if path.is_file()])
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    with serving(folder, offline=True) as url:
        assert httpx.get(f"{url}/health/ready").status_code == 200


def test_only_an_empty_folder_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    done = CliRunner().invoke(main, ["download", "owner/name", "--to", str(tmp_path)])
    assert (done.exit_code, "is not empty" in done.output) == (2, True)
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        copy_with_checksums(tmp_path, tmp_path / "file" / "model")


def test_download_prints_the_folder_and_the_second_time_needs_no_transfer(tmp_path: Path) -> None:
    with StandinHub() as hub:
        commit = hub.publish(REPO, {CONFIG: b"a: 1\n", "2024.09.27/vision_model/weights.pt": b"w"}, tag="v1")
        first = run_script("download", f"{REPO}@v1", "--cache-dir", tmp_path, HF_ENDPOINT=hub.endpoint)
        assert first.returncode == 0, first.stderr
        folder = Path(first.stdout.strip())
        assert folder.name == commit
        assert (folder / CONFIG).read_bytes() == b"a: 1\n"
        transfers = len(hub.fetched())
        second = run_script("download", f"{REPO}@v1", "--cache-dir", tmp_path, HF_ENDPOINT=hub.endpoint)
        assert second.stdout == first.stdout
        assert len(hub.fetched()) == transfers


def test_a_failed_download_is_one_sentence(tmp_path: Path) -> None:
    with StandinHub() as hub:
        done = run_script("download", "nobody/nothing", "--cache-dir", tmp_path, HF_ENDPOINT=hub.endpoint)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "nobody/nothing is not on the Hugging Face hub" in done.stderr
    assert "Traceback" not in done.stderr
