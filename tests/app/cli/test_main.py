"""The commands as a shell sees them: output, error messages and exit status."""

import json
import shlex
import subprocess
import sys
import time
from importlib.metadata import entry_points, version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from app.cli.adapter import adapter
from app.cli.classify import classify
from app.cli.download import download
from app.cli.embed import embed
from app.cli.evaluate import evaluate
from app.cli.finetune import finetune
from app.cli.head import head
from app.cli.info import info
from app.cli.main import main
from app.cli.render import render
from app.cli.serve import serve
from model.errors import CheckpointError
from tests.support.console_script import run_script
from tests.support.samples import png


def invoked(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def test_the_console_script_is_this_one() -> None:
    (script,) = entry_points(group="console_scripts", name="medimageinsight")
    assert script.load() is main


COMMANDS = {
    (): main,
    ("serve",): serve,
    ("info",): info,
    ("download",): download,
    ("embed",): embed,
    ("render",): render,
    ("finetune",): finetune,
    ("evaluate",): evaluate,
    ("classify",): classify,
    ("head",): head,
    ("head", "make"): head.commands["make"],
    ("head", "import"): head.commands["import"],
    ("head", "labels"): head.commands["labels"],
    ("adapter",): adapter,
    ("adapter", "train"): adapter.commands["train"],
    ("adapter", "apply"): adapter.commands["apply"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    program = (
        "import sys; sys.argv[1:] = [*sys.argv[1:], '--help']\n"
        "from app.cli.main import main\n"
        "heavy = ('torch', 'transformers', 'sklearn', 'PIL', 'numpy', 'fastapi', 'httpx2')\n"
        "try: main()\n"
        "finally: print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")
    assert done.stdout.endswith("[]\n")


def test_every_command_is_tried_here() -> None:
    groups = {(): main, ("adapter",): adapter, ("head",): head}
    assert {(*group, name) for group, of in groups.items() for name in of.commands} == COMMANDS.keys() - {()}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example_whose_flags_exist(command: tuple[str, ...]) -> None:
    last_lines = invoked(*command, "--help").output.rstrip().rpartition("Example:\n")[2].strip().splitlines()
    assert last_lines
    for line in last_lines:
        words = shlex.split(line)
        words = words[words.index("medimageinsight") + 1 :]
        assert tuple(words[: len(command)]) == command
        shown = max((path for path in COMMANDS if tuple(words[: len(path)]) == path), key=len)
        known = {flag for parameter in COMMANDS[shown].params for flag in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_of_the_help_is_cut(command: tuple[str, ...]) -> None:
    lines = CliRunner(env={"COLUMNS": "80"}).invoke(main, [*command, "--help"]).output.splitlines()
    assert [line for line in lines if line.endswith("...") and not line.startswith("Usage: ")] == []
    for name, of in getattr(COMMANDS[command], "commands", {}).items():
        assert f"{name} " in next(line for line in lines if line.endswith(of.short_help))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_text_is_a_phrase_of_its_own(command: tuple[str, ...]) -> None:
    for parameter in COMMANDS[command].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help
            assert parameter.help[0].isupper()
            assert parameter.help.split()[0] not in ("Of", "At", "As", "And", "See", "The", "With", "Without")


@pytest.mark.timing
def test_help_is_quick() -> None:
    start = time.perf_counter()
    assert run_script("--help").returncode == 0
    assert time.perf_counter() - start < 5  # a third of a second on an idle machine


def test_version() -> None:
    assert version("medimageinsight-server") in invoked("--version").output


def test_the_notice_is_in_the_help() -> None:
    assert "not for clinical use" in invoked("--help").output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["embed", "-o", "out.npz"], "name at least one PATH or --text"),
        (["embed", "--text", "a", "-o", "out.csv"], "--output must end in .npz or .parquet"),
        (["embed", "--text", "a", "-o", "nowhere/out.npz"], "--output names a file in a folder that does not exist"),
        (["embed", "--text", "a"], "Missing option '-o'"),
        (["embed", "nowhere.png", "-o", "out.npz"], "'nowhere.png' does not exist"),
        (["embed", "--text", "a", "-o", "out.npz", "--max-batch-size", "-1"], "--max-batch-size: "),
        (["render", "-o", "out"], "Missing argument 'PATHS...'"),
        (["render", "."], "Missing option '-o'"),
        (["render", ".", "-o", "out", "--frame", "-1"], "Invalid value for '--frame'"),
        (["render", ".", "-o", "out", "--frame", "1", "--frames", "all"], "--frame and --frames exclude each other"),
        (["render", ".", "-o", "out", "--dicom-window", "lungs"], "known names are abdomen, bone"),
        (["render", ".", "-o", "out", "--max-image-pixels", "0"], "--max-image-pixels: "),
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
        (["download", "not-an-id"], "'not-an-id' is not a Hugging Face id; write owner/name or owner/name@revision"),
    ],
)
def test_what_the_model_refuses_is_one_sentence_and_status_2(arguments: list[str], sentence: str) -> None:
    result = invoked(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"medimageinsight: {sentence}")
    assert result.stderr.count("\n") == 1


def test_info_says_what_a_model_is_without_building_it(small_release: Path) -> None:
    done = run_script("info", small_release)
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert facts["name"] == "2024.09.27"
    assert facts["embedding_size"] == 128
    assert facts["weights_bytes"] == next((small_release / "vision_model").iterdir()).stat().st_size
    assert facts["image_encoder"]["image_size"] == [480, 480]
    assert facts["text_encoder"]["context_length"] == 77


def test_info_without_a_model_describes_the_one_of_the_environment_or_the_demonstration_model(
    small_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json.loads(invoked("info").stdout)["demonstration"] is True
    monkeypatch.setenv("MODEL", str(small_release))
    assert json.loads(invoked("info").stdout)["name"] == small_release.name


def test_embed_in_a_process_of_its_own(small_release: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    out = tmp_path / "out.npz"
    flags = ("--text", "a", "--cache-dir", tmp_path, "-o", out)
    done = run_script("embed", tmp_path / "a.png", *flags, MODEL=str(small_release))
    assert done.returncode == 0, done.stderr
    assert f"{out}: 1 images, 1 texts" in done.stderr
    assert "images: 100%" in done.stderr  # the progress bar


def test_an_error_of_a_command_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise CheckpointError("the sentence")

    monkeypatch.setattr("app.inference.model_loader.find_model", refuse)
    result = invoked("info", "x")
    assert (result.exit_code, result.stderr) == (2, "medimageinsight: the sentence\n")


def test_a_folder_with_files_called_app_and_model_does_not_matter(tmp_path: Path, small_release: Path) -> None:
    for name in ("app.py", "model.py", "medimageinsight.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file was imported')\n")
    done = run_script("info", small_release, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run_script("embed", "--text", "a", "-o", "out.npz", "--no-cache", "--model", small_release, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.npz").is_file()
