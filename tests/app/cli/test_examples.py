"""The examples at the end of every --help, run in a folder that has the files that they name."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import nibabel
import numpy as np
import pydicom.data
import pytest
from click.testing import CliRunner

from app.cli.main import main
from tests.conftest import IMAGES
from tests.model.heads import test_azure_adapter as azure
from tests.support.learnable import LABELS, make_tiny_release, write_manifest, write_pictures

RELEASED = "lion-ai/MedImageInsights"
NOT_RUN = re.compile(r"medimageinsight (serve|download)|torchrun |--server ")  # tests of their own run these
MAKES_A_HEAD = re.compile("head make|head import|adapter train")
BRIEF = {"finetune": ["--steps", "1", "--batch-size", "4", "--no-tensorboard"], "train": ["--epochs", "1"]}


def examples_of(command: click.Command) -> Iterator[str]:
    """The lines of the examples of a command and its subcommands."""
    yield from (command.epilog or "").partition("\b\n")[2].splitlines()
    for subcommand in getattr(command, "commands", {}).values():
        yield from examples_of(subcommand)


EXAMPLES = list(dict.fromkeys(line.strip() for line in examples_of(main)))
RUN = sorted((line for line in EXAMPLES if not NOT_RUN.search(line)), key=lambda line: not MAKES_A_HEAD.search(line))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that stands for the released one."""
    return make_tiny_release(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples name as the reader's own."""
    folder = tmp_path_factory.mktemp("examples")
    records = write_pictures(folder, 12)
    for number, record in enumerate(records):
        record |= {"sex": "FM"[number % 2], "site": record["source"], "age": str(20 + number)}
        record.pop("split")
    for name, rows in (("train.csv", records[:8]), ("val.csv", records[8:]), ("test.csv", records)):
        write_manifest(folder / name, rows)
    (folder / "prompts.yaml").write_text("".join(f"{label}: a {label} picture\n" for label in LABELS))
    (folder / "scans").mkdir()
    shutil.copy(IMAGES / "ct_gray.png", folder / "scans")
    dicom = pydicom.data.get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(dicom, str)
    shutil.copy(dicom, folder / "scan.dcm")
    nibabel.save(nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4)), folder / "head.nii.gz")
    azure.write(folder / "adapter_model", azure.network().state_dict())
    return folder


@pytest.mark.parametrize("line", RUN)
def test_an_example_works_as_it_is_printed(
    line: str, folder: Path, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    program, *words = shlex.split(line.replace(RELEASED, str(release)))
    assert program == "medimageinsight"
    brief = next((flags for name, flags in BRIEF.items() if name in words[:2]), [])
    if "--target" in words:
        brief = []  # a ridge regression has no passes
    result = CliRunner(env={"MODEL": str(release), "CACHE_DIR": "cache"}).invoke(main, [*words, *brief])
    assert result.exit_code == 0, result.output


def test_most_examples_are_run() -> None:
    assert {line.split()[1] for line in RUN} == main.commands.keys() - {"serve", "download"}
