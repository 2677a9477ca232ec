"""The client as its own distribution: it installs without torch and without the server."""

import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.packaging
def test_it_installs_in_an_empty_environment_without_torch(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python: str | Path = tmp_path / "venv" / "bin" / "python"
    install: list[str | Path] = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, "-c", ROOT / "constraints.txt", ROOT / "client"], check=True, cwd=tmp_path)
    program = (
        "import sys, medimageinsight, importlib.metadata as metadata;"
        "print(*sorted(sys.modules.keys() & {'torch', 'fastapi', 'app', 'model'}));"
        "print(*sorted(d.name.lower() for d in metadata.distributions()))"
    )
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded, installed = done.stdout.split("\n")[:2]
    assert loaded == ""
    assert not set(installed.split()) & {"torch", "fastapi", "medimageinsight-server"}
    assert (next((tmp_path / "venv").glob("lib/*/site-packages/medimageinsight")) / "py.typed").exists()
