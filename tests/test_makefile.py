"""The Makefile as a newcomer meets it: a list of targets, and a sentence when the installation fails."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.console_script import ROOT

FILES = ("Makefile", "constraints.txt", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, in a folder whose name has a space; only the files that an installation begins with."""
    folder = tmp_path_factory.mktemp("a folder")
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    for package in ("client/medimageinsight", "app", "model"):
        (folder / package).mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / "client" / name, folder / "client")
    return folder


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nothing listens: pip reaches no index there, and no package comes from elsewhere."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def make(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    variables = inherited | {"PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull} | environment
    return subprocess.run(["make", *words], cwd=folder, env=variables, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("words", [(), ("help",)])
def test_make_alone_lists_the_targets_and_starts_nothing(words: tuple[str, ...], folder: Path) -> None:
    done = make(folder, *words)
    assert done.returncode == 0, done.stderr
    (phony,) = re.findall(r"^\.PHONY: (.*)", (folder / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^  ([a-z-]+) +\S.*", done.stdout, re.MULTILINE)
    assert listed == phony.split()
    for variable in ("PORT", "MODEL", "PYTHON", "TORCH_INDEX", "WORKERS", "DATA"):
        assert re.search(rf"^  .*\b{variable}\b", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not (folder / ".venv").exists()


def test_a_python_that_is_too_old_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -c "import sys; sys.version_info = (3, 10); $1"\n')
    old.chmod(0o755)
    done = make(folder, "run", PYTHON=str(old))
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."


@pytest.mark.packaging
def test_an_installation_without_network_ends_with_what_to_set(folder: Path, closed_port: int) -> None:
    index = f"http://127.0.0.1:{closed_port}/simple"
    for words in (("run",), ("run",), ("run", f"TORCH_INDEX={index}")):  # the second one finds a half-made .venv
        done = make(folder, *words, PIP_INDEX_URL=index, PIP_RETRIES="1")
        assert done.returncode == 2
        assert "ERROR: " in done.stdout + done.stderr or "error: " in done.stderr  # of pip itself
        last = done.stderr.splitlines()[-2]
        assert last.startswith("The packages could not be downloaded, because pip did not reach a package index: ")
        for needed in ("HTTPS_PROXY", "PIP_INDEX_URL", "TORCH_INDEX", "docs/deploy.md"):
            assert needed in last


@pytest.mark.packaging
def test_another_failure_of_pip_is_not_said_to_be_the_network(folder: Path) -> None:
    done = make(folder, "run", PIP_NO_INDEX="1")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-2]
    assert last == "The packages could not be installed; pip says why above, and all of it in .venv/pip.log."
    assert (folder / ".venv" / "pip.log").stat().st_size > 0
