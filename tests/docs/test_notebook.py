"""The notebook `recipes/notebooks/first_steps.ipynb` runs, and prints what it shows."""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.blocks import comparable
from tests.docs.pages import ROOT
from tests.support.console_script import CHECKOUT
from tests.support.servers.serving import serving

NOTEBOOK = ROOT / "recipes" / "notebooks" / "first_steps.ipynb"
URL = "http://localhost:8000"
MAX_BYTES = 200_000
read_notebook: Callable[..., Any] = nbformat.read  # it has no annotations


def texts_of(notebook: Any) -> list[list[str]]:
    """What each code cell prints or returns; warnings and pictures are left out."""
    return [
        comparable("".join(_text(output) for output in cell.outputs if output.get("name") != "stderr"))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _text(output: Any) -> str:
    if output.output_type == "execute_result":
        return str(output.data["text/plain"])
    return str(output.get("text", ""))


def pictures_of(notebook: Any) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The notebook after a run against a server with the demonstration model."""
    monkeypatch.setenv("PYTHONPATH", CHECKOUT["PYTHONPATH"])
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")  # noqa: PTH120
    notebook = read_notebook(NOTEBOOK, as_version=4)
    with serving("") as url:
        for cell in notebook.cells:
            cell.source = cell.source.replace(URL, url)
        folder = {"metadata": {"path": str(NOTEBOOK.parent)}}
        NotebookClient(notebook, timeout=60, kernel_name="python3", resources=folder).execute()
        yield notebook


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")  # of the Jupyter packages
def test_the_notebook_prints_what_it_shows(executed: Any) -> None:
    saved = read_notebook(NOTEBOOK, as_version=4)
    assert texts_of(executed) == texts_of(saved)
    assert pictures_of(executed) == pictures_of(saved) == 1


def test_the_notebook_is_small_and_names_no_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text.encode()) < MAX_BYTES
    assert "site-packages" not in text
