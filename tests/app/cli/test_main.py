"""The commands as a shell sees them: what they print, where, and with which status they end."""

import json
import os
import subprocess
import sys
import time
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from model.errors import CheckpointError
from tests.support.samples import png
from tests.support.servers.standin_hub import CONFIG, REPO, StandinHub


def invoked(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def in_a_shell(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli.main", *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)


def test_the_console_script_is_this_one() -> None:
    (script,) = entry_points(group="console_scripts", name="medimageinsight")
    assert script.load() is main


@pytest.mark.parametrize("command", [[], ["serve"], ["info"], ["download"], ["embed"]])
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    program = (
        "import sys; sys.argv[1:] = [*sys.argv[1:], '--help']\n"
        "from app.cli.main import main\n"
        "try: main()\n"
        "finally: print([name for name in ('torch', 'transformers', 'PIL', 'numpy', 'fastapi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")
    assert done.stdout.endswith("[]\n")


@pytest.mark.timing
def test_help_is_quick() -> None:
    start = time.perf_counter()
    assert in_a_shell("--help").returncode == 0
    assert time.perf_counter() - start < 5  # a third of a second on an idle machine


def test_version() -> None:
    assert version("medimageinsight-server") in invoked("--version").output


def test_the_notice_stands_in_the_help() -> None:
    assert "not for clinical use" in invoked("--help").output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["embed", "-o", "out.npz"], "name at least one PATH or --text"),
        (["embed", "--text", "a", "-o", "out.csv"], "--output must end in .npz or .parquet"),
        (["embed", "--text", "a", "-o", "nowhere/out.npz"], "--output names a folder that does not exist"),
        (["embed", "--text", "a"], "Missing option '-o'"),
        (["embed", "nowhere.png", "-o", "out.npz"], "'nowhere.png' does not exist"),
        (["embed", "--text", "a", "-o", "out.npz", "--max-batch-size", "-1"], "max_batch_size"),
        (["info"], "Missing argument 'MODEL'"),
        (["download"], "Missing argument 'ID'"),
        (["train"], "No such command 'train'"),
    ],
)
def test_usage_errors(arguments: list[str], sentence: str) -> None:
    result = invoked(*arguments)
    assert result.exit_code == 2
    assert sentence in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["info", "/nowhere/at/all"], "no model at /nowhere/at/all"),
        (["download", "not-an-id"], "'not-an-id' is no Hugging Face id; write owner/name or owner/name@revision"),
    ],
)
def test_what_the_model_refuses_is_one_sentence_and_status_2(arguments: list[str], sentence: str) -> None:
    result = invoked(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"medimageinsight: {sentence}")
    assert result.stderr.count("\n") == 1


def test_info_says_what_a_model_is_without_building_it(small_release: Path) -> None:
    done = in_a_shell("info", small_release)
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert facts["name"] == "2024.09.27"
    assert facts["embedding_size"] == 128
    assert facts["weights_bytes"] == next((small_release / "vision_model").iterdir()).stat().st_size
    assert facts["image_encoder"]["image_size"] == [480, 480]
    assert facts["text_encoder"]["context_length"] == 77


def test_download_prints_the_folder_and_the_second_time_needs_no_transfer(tmp_path: Path) -> None:
    with StandinHub() as hub:
        commit = hub.publish(REPO, {CONFIG: b"a: 1\n", "2024.09.27/vision_model/weights.pt": b"w"}, tag="v1")
        first = in_a_shell("download", f"{REPO}@v1", "--cache-dir", tmp_path, HF_ENDPOINT=hub.endpoint)
        assert first.returncode == 0, first.stderr
        folder = Path(first.stdout.strip())
        assert folder.name == commit
        assert (folder / CONFIG).read_bytes() == b"a: 1\n"
        transfers = len(hub.fetched())
        second = in_a_shell("download", f"{REPO}@v1", "--cache-dir", tmp_path, HF_ENDPOINT=hub.endpoint)
        assert second.stdout == first.stdout
        assert len(hub.fetched()) == transfers


def test_a_download_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    with StandinHub() as hub:
        done = in_a_shell("download", "nobody/nothing", "--cache-dir", tmp_path, HF_ENDPOINT=hub.endpoint)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "nobody/nothing is not on the Hugging Face hub" in done.stderr
    assert "Traceback" not in done.stderr


def test_embed_in_a_process_of_its_own(small_release: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    out = tmp_path / "out.npz"
    done = in_a_shell("embed", tmp_path / "a.png", "--text", "a", "-o", out, MODEL=str(small_release))
    assert done.returncode == 0, done.stderr
    assert f"{out}: 1 images, 1 texts" in done.stderr
    assert "images: 100%" in done.stderr  # the progress bar


def test_an_error_of_a_command_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise CheckpointError("the sentence")

    monkeypatch.setattr("app.cli.commands.print_info", refuse)
    result = invoked("info", "x")
    assert (result.exit_code, result.stderr) == (2, "medimageinsight: the sentence\n")
