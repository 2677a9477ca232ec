"""The shell and Python blocks of the README and the pages run, and print what the pages say."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom.data
import pytest

from tests.conftest import IMAGES
from tests.docs.blocks import Block, blocks, comparable
from tests.docs.pages import PAGES, ROOT
from tests.support import public_clients
from tests.support.console_script import CHECKOUT
from tests.support.learnable import LABELS, write_manifest, write_pictures
from tests.support.servers.serving import serving

TIMEOUT_S = 60
ALL_BLOCKS = [block for file in PAGES for block in blocks(file)]
RUN = [block for block in ALL_BLOCKS if not block.not_run]
ADDRESS = re.compile(r"(localhost|127\.0\.0\.1):8000")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server with the demonstration model, without its scheme."""
    with serving("") as url:
        yield url.removeprefix("http://")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository, with files that the examples name as the reader's own."""
    folder = tmp_path_factory.mktemp("examples")
    for entry in ROOT.iterdir():
        if entry.name not in (".git", "build"):
            (folder / entry.name).symlink_to(entry)
    for name in public_clients.MODULES:
        (folder / name).symlink_to(public_clients.FOLDER / name)
    dicom = pydicom.data.get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(dicom, str)
    shutil.copy(dicom, folder / "slice.dcm")
    shutil.copy(dicom, folder / "scan.dcm")
    shutil.copy(IMAGES / "fundus_rgb.jpg", folder / "photo.png")
    (folder / "scans").mkdir()
    shutil.copy(IMAGES / "ct_gray.png", folder / "scans")
    _write_manifests(folder)
    return folder


def _write_manifests(folder: Path) -> None:
    records = write_pictures(folder, 24)
    for number, record in enumerate(records):
        record |= {"sex": "FM"[number % 2], "age": str(20 + number), "group": str(number)}
        record.pop("split", None)
    for name, rows in (("train.csv", records[:12]), ("val.csv", records[12:18]), ("test.csv", records)):
        write_manifest(folder / name, rows)
    (folder / "prompts.json").write_text(json.dumps({label: f"a {label} picture" for label in LABELS}))


def test_there_are_examples_of_both_kinds() -> None:
    assert {block.language for block in RUN} == {"sh", "python"}


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.name)
def test_a_block_runs(block: Block, server: str, folder: Path) -> None:
    code = ADDRESS.sub(server, block.code)
    command = [sys.executable, "-c", code] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", code]
    environment = os.environ | CHECKOUT | {"CACHE_DIR": str(folder / "cache"), "TQDM_DISABLE": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert '"code":' not in done.stdout, done.stdout  # curl succeeds on an error of the server
    if block.output is not None:
        assert comparable(done.stdout) == comparable(block.output)
